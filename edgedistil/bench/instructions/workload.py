"""The program that is counted: loads one file, runs it, and marks three moments on the way.

It runs on the emulated processor, beside a copy of the runner, with Python >= 3.9, numpy and one runtime.
"""

from __future__ import annotations

import ctypes
import gc
import json
import sys
from pathlib import Path

MARK = 4242
"""A system call that no kernel knows; the plugin knows it (`count.c`)."""


def main(folder: Path) -> None:
    """Reads `request.json`, runs, and writes `answer.json`, both in a folder of their own.

    Between the first mark and the second lie `inferences` calls, between the second and the third twice as many: what
    a mark and a loop cost cancels in the difference. The calls before the first mark are for the runtimes to plan, pack
    and allocate in; the garbage collector would count inferences of its own accord, so it is off.
    """
    sys.path.insert(0, str(folder))
    # Imported here: the copy of the runner lies beside this file only where it is counted.
    import numpy as np
    from runner import runtimes  # type: ignore[import-not-found]

    request = json.loads((folder / "request.json").read_text(encoding="utf-8"))
    gc.disable()
    mark = ctypes.CDLL(None).syscall
    model = str(folder / request["model"])
    input_ids = np.asarray(request["input_ids"], dtype=np.int64)
    attention_mask = np.ones_like(input_ids)
    runtime = runtimes.create(request["runtime"], model, 1, input_ids.shape[1])
    logits = runtime.run(input_ids, attention_mask)
    call = runtime.bind(input_ids, attention_mask)
    for _ in range(request["warm_up"]):
        call()
    mark(MARK)
    for _ in range(request["inferences"]):
        call()
    mark(MARK)
    for _ in range(2 * request["inferences"]):
        call()
    mark(MARK)
    answer = {"logits": logits.tolist(), "runtime_version": runtime.version}
    Path(request["answer"]).write_text(json.dumps(answer), encoding="utf-8")


if __name__ == "__main__":
    main(Path(__file__).parent)
