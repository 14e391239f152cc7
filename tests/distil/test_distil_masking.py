from __future__ import annotations

import numpy as np
import pytest
from tokenizers import Tokenizer, models

from edgedistil.bench.runner.evaluation import EvaluationSet
from edgedistil.distil.batches import Batch, collate
from edgedistil.distil.masking import Masking
from edgedistil.errors import UsageError

PIECES = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "play", "##ing", "##s", "film", "good", "a", "the"]
CLS, SEP, MASK = 2, 3, 4


def masking(unit: str, share: float = 0.15) -> Masking:
    vocabulary = {piece: number for number, piece in enumerate(PIECES)}
    return Masking.of(Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]")), share, unit, 7)


def text(rows: int, length: int = 40) -> EvaluationSet:
    chooser = np.random.default_rng(0)
    ids = chooser.integers(5, len(PIECES), (rows, length))
    ids[:, 0], ids[:, -1] = CLS, SEP
    ids[:, 1] = 8
    return EvaluationSet(ids.ravel(), np.arange(rows + 1) * length, np.full(rows, -1), np.arange(rows).astype(str))


def both(unit: str, rows: int = 400, share: float = 0.15, epoch: int = 0) -> tuple[Batch, Batch]:
    batch = collate(text(rows), np.arange(rows))
    return batch, masking(unit, share)(batch, epoch)


@pytest.mark.parametrize("unit", ["whole-word", "token"])
def test_the_share_is_hidden_eight_of_ten_by_the_mask(unit: str):
    batch, masked = both(unit)
    chosen = masked.labels != -100
    before, after = batch.input_ids, masked.input_ids
    assert (before[~chosen] == after[~chosen]).all(), "what is not to be predicted stays"
    assert (masked.labels[chosen] == before[chosen]).all()
    assert float(chosen.float().mean()) == pytest.approx(0.15 * 38 / 40, rel=0.12)
    assert not (chosen & ((before == CLS) | (before == SEP))).any()
    assert float((after[chosen] == MASK).float().mean()) == pytest.approx(0.8, abs=0.03)
    kept = after[chosen] == before[chosen]
    assert float(kept.float().mean()) == pytest.approx(0.1 + 0.1 / 7, abs=0.03)
    assert set(after[chosen].tolist()) <= {MASK, *range(5, len(PIECES))}
    assert masked.kind == "masked"


def test_pieces_of_a_word_are_hidden_together():
    batch, masked = both("whole-word")
    chosen = (masked.labels != -100).numpy()
    ids = batch.input_ids.numpy()
    continues = (ids == 6) | (ids == 7)
    inside = continues[:, 1:] & (ids[:, :-1] >= 5)
    assert (chosen[:, 1:][inside] == chosen[:, :-1][inside]).all()
    _, by_token = both("token")
    apart = (by_token.labels != -100).numpy()
    assert (apart[:, 1:][inside] != apart[:, :-1][inside]).any()


def test_what_is_hidden_follows_from_the_row_and_the_epoch():
    rows, hide = text(30), masking("whole-word")
    whole = hide(collate(rows, np.arange(30)), 2)
    part = hide(collate(rows, np.array([17, 4])), 2)
    assert (part.input_ids == whole.input_ids[[17, 4]]).all()
    assert not (hide(collate(rows, np.arange(30)), 3).input_ids == whole.input_ids).all()


def test_every_row_with_a_word_has_something_to_learn():
    _, masked = both("whole-word", share=0.001)
    assert (masked.labels != -100).any(1).all()
    alone = EvaluationSet([CLS, SEP], [0, 2], [-1], ["a"])
    empty = masking("token")(collate(alone, np.array([0])), 0)
    assert (empty.labels == -100).all()


def test_a_vocabulary_without_a_mask_is_one_line():
    tokeniser = Tokenizer(models.WordPiece({"[UNK]": 0, "a": 1}, unk_token="[UNK]"))
    with pytest.raises(UsageError) as caught:
        Masking.of(tokeniser, 0.15, "token", 0)
    assert caught.value.line() == "the tokeniser has no token [MASK]; choose a teacher whose tokeniser has one"
