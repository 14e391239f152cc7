"""What our tensors are called in checkpoints of `bert` and `distilbert`."""

from __future__ import annotations

_BERT = {
    "encoder.embeddings.word": "bert.embeddings.word_embeddings",
    "encoder.embeddings.position": "bert.embeddings.position_embeddings",
    "encoder.embeddings.token_type": "bert.embeddings.token_type_embeddings",
    "encoder.embeddings.norm": "bert.embeddings.LayerNorm",
    "encoder.layers": "bert.encoder.layer",
    "pre_classifier": "bert.pooler.dense",
    "classifier": "classifier",
}
_BERT_LAYER = {
    "attention.query": "attention.self.query",
    "attention.key": "attention.self.key",
    "attention.value": "attention.self.value",
    "attention.output": "attention.output.dense",
    "attention_norm": "attention.output.LayerNorm",
    "ffn.up": "intermediate.dense",
    "ffn.down": "output.dense",
    "output_norm": "output.LayerNorm",
}
_DISTILBERT = {
    "encoder.embeddings.word": "distilbert.embeddings.word_embeddings",
    "encoder.embeddings.position": "distilbert.embeddings.position_embeddings",
    "encoder.embeddings.norm": "distilbert.embeddings.LayerNorm",
    "encoder.layers": "distilbert.transformer.layer",
    "pre_classifier": "pre_classifier",
    "classifier": "classifier",
}
_DISTILBERT_LAYER = {
    "attention.query": "attention.q_lin",
    "attention.key": "attention.k_lin",
    "attention.value": "attention.v_lin",
    "attention.output": "attention.out_lin",
    "attention_norm": "sa_layer_norm",
    "ffn.up": "ffn.lin1",
    "ffn.down": "ffn.lin2",
    "output_norm": "output_layer_norm",
}
_TABLES = {"bert": (_BERT, _BERT_LAYER), "distilbert": (_DISTILBERT, _DISTILBERT_LAYER)}
_LAYERS = "encoder.layers"

MODEL_TYPES = tuple(_TABLES)


def their_name(ours: str, model_type: str) -> str:
    """Returns the checkpoint's name of one of our tensors.

    Args:
        ours: A key of `EdgeBertForSequenceClassification.state_dict()`.
        model_type: `bert` or `distilbert`.

    Raises:
        KeyError: When such checkpoints have no such tensor.
    """
    modules, layer_modules = _TABLES[model_type]
    module, _, kind = ours.rpartition(".")
    if not module.startswith(f"{_LAYERS}."):
        return f"{modules[module]}.{kind}"
    number, _, part = module.removeprefix(f"{_LAYERS}.").partition(".")
    return f"{modules[_LAYERS]}.{number}.{layer_modules[part]}.{kind}"


def modern_name(theirs: str, model_type: str) -> str:
    """Returns a stored tensor's name as today's classifiers of this type spell it.

    Checkpoints made from TensorFlow call a LayerNorm's tensors gamma and beta, and encoder-only ones lack the
    model's prefix.
    """
    name = theirs
    for old, new in ((".gamma", ".weight"), (".beta", ".bias")):
        if name.endswith(old):
            name = name.removesuffix(old) + new
    if name.startswith(("embeddings.", "encoder.", "transformer.", "pooler.")):
        name = f"{model_type}.{name}"
    return name
