"""What our tensors are called in checkpoints of `bert` and `distilbert`."""

from __future__ import annotations

from collections.abc import Sequence

_BERT = {
    "encoder.embeddings.word": "bert.embeddings.word_embeddings",
    "encoder.embeddings.position": "bert.embeddings.position_embeddings",
    "encoder.embeddings.token_type": "bert.embeddings.token_type_embeddings",
    "encoder.embeddings.norm": "bert.embeddings.LayerNorm",
    "encoder.layers": "bert.encoder.layer",
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
_BERT_HEADS = {
    "sequence": {"pre_classifier": "bert.pooler.dense", "classifier": "classifier"},
    "token": {"classifier": "classifier"},
    "span": {"classifier": "qa_outputs"},
    "masked-lm": {
        "transform": "cls.predictions.transform.dense",
        "transform_norm": "cls.predictions.transform.LayerNorm",
        "decoder": "cls.predictions",
    },
}
_DISTILBERT_HEADS = {
    "sequence": {"pre_classifier": "pre_classifier", "classifier": "classifier"},
    "token": {"classifier": "classifier"},
    "span": {"classifier": "qa_outputs"},
    "masked-lm": {
        "transform": "vocab_transform",
        "transform_norm": "vocab_layer_norm",
        "decoder": "vocab_projector",
    },
}
_TABLES = {"bert": (_BERT, _BERT_LAYER, _BERT_HEADS), "distilbert": (_DISTILBERT, _DISTILBERT_LAYER, _DISTILBERT_HEADS)}
_DECODERS = {"bert": "cls.predictions.decoder.weight", "distilbert": "vocab_projector.weight"}
_LAYERS = "encoder.layers"
_CLASSES = {
    "sequence": "ForSequenceClassification",
    "token": "ForTokenClassification",
    "span": "ForQuestionAnswering",
    "masked-lm": "ForMaskedLM",
}
_PREFIXES = {"bert": "Bert", "distilbert": "DistilBert"}


def class_name(model_type: str, head: str) -> str:
    """Returns what `transformers` calls the class of a `bert` or `distilbert` with one of our heads."""
    return _PREFIXES[model_type] + _CLASSES[head]


def stated_head(architectures: Sequence[str] | None) -> str | None:
    """Returns the head that a checkpoint's `architectures` name; None for a bare encoder, or one that names none."""
    for name in architectures or ():
        if name.endswith("ForPreTraining"):
            return "masked-lm"
        for head, ending in _CLASSES.items():
            if name.endswith(ending):
                return head
    return None


def decoder_name(model_type: str) -> str:
    """Returns the checkpoint's name of the decoder's matrix, which ties to the word embedding."""
    return _DECODERS[model_type]


def their_name(ours: str, model_type: str, head: str = "sequence") -> str:
    """Returns the checkpoint's name of one of our tensors.

    Args:
        ours: A key of our model's `state_dict()`.
        model_type: `bert` or `distilbert`.
        head: The model's head.

    Raises:
        KeyError: When such checkpoints have no such tensor.
    """
    modules, layer_modules, heads = _TABLES[model_type]
    module, _, kind = ours.rpartition(".")
    if not module.startswith(f"{_LAYERS}."):
        return f"{(modules | heads[head])[module]}.{kind}"
    number, _, part = module.removeprefix(f"{_LAYERS}.").partition(".")
    return f"{modules[_LAYERS]}.{number}.{layer_modules[part]}.{kind}"


def modern_name(theirs: str, model_type: str) -> str:
    """Returns a stored tensor's name as today's models of this type spell it.

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
