"""The list that the contract of architectures runs over, each with its plan."""

# ruff: noqa: E501 (names of layers are as long as they are)

from __future__ import annotations

import torch
from torch import nn

from architectures import (
    Architecture,
    GraphNetwork,
    Planned,
    Tagger,
    UNet,
    deeplab,
    detected,
    fcn,
    graph,
    images,
    mask_rcnn,
    mixer,
    of_timm,
    of_torchvision,
    of_transformers,
    resmlp,
    retina_net,
    words,
)

_TEXT = {"hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2, "num_attention_heads": 2, "vocab_size": 37}
_TEXT |= {"max_position_embeddings": 16}
_CAUSAL = {**_TEXT, "num_key_value_heads": 1, "head_dim": 8, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
_T5 = {"d_model": 16, "d_ff": 24, "d_kv": 8, "num_heads": 2, "num_layers": 1, "vocab_size": 37, "decoder_start_token_id": 0}
_GPT2 = {"n_embd": 16, "n_layer": 2, "n_head": 2, "vocab_size": 37, "n_positions": 16, "bos_token_id": 1, "eos_token_id": 2}
_STAGES = {"hidden_sizes": [8, 8, 16, 16], "depths": [1] * 4, "num_labels": 3}
_SEGFORMER = {**_STAGES, "num_attention_heads": [1, 1, 2, 2], "decoder_hidden_size": 8}
_VIT = {"image_size": 32, "patch_size": 16, "num_layers": 2, "num_heads": 2, "hidden_dim": 16, "mlp_dim": 24, "num_classes": 5}
_SMALL_VIT = {"img_size": 32, "embed_dim": 24, "depth": 2, "num_heads": 2}

ARCHITECTURES: dict[str, Architecture] = {
    "LSTM": Architecture(
        lambda: Tagger(nn.LSTM(8, 12, batch_first=True, bidirectional=True), 24),
        words(),
        Planned(4, 1_920, 2, {"embedding": "embedding.weight", "classifier": "fc.weight"}),
    ),
    "GRU": Architecture(
        lambda: Tagger(nn.GRU(8, 12, num_layers=2, batch_first=True), 12),
        words(),
        Planned(4, 1_584, 2, {"embedding": "embedding.weight", "classifier": "fc.weight"}),
    ),
    "TransformerEncoder": Architecture(
        lambda: Tagger(nn.TransformerEncoder(nn.TransformerEncoderLayer(8, 2, 16, 0.0, batch_first=True), 2), 8),
        words(),
        Planned(8, 1_024, 10, {"embedding": "embedding.weight", "classifier": "fc.weight"}),
    ),
    "U-Net": Architecture(UNet, images(), Planned(5, 2_144, 6, {"classifier": "out.weight"})),
    "graph network": Architecture(GraphNetwork, graph, Planned(2, 112, 2, {"classifier": "readout.weight"})),
    "torchvision mobilenet_v2": Architecture(
        of_torchvision("mobilenetv2", "mobilenet_v2", width_mult=0.25, num_classes=5),
        images(),
        Planned(52, 227_456, 104, {"classifier": "classifier.1.weight"}),
    ),
    "torchvision VisionTransformer": Architecture(
        of_torchvision("vision_transformer", "VisionTransformer", **_VIT),
        images(),
        Planned(9, 15_872, 10, {"position or token": "encoder.pos_embedding", "classifier": "heads.head.weight"}),
    ),
    "torchvision squeezenet": Architecture(
        of_torchvision("squeezenet", "squeezenet1_1", num_classes=5),
        images(64),
        Planned(25, 719_552, 0, {"classifier": "classifier.1.weight"}),
    ),
    "torchvision FCN": Architecture(
        fcn, images(64), Planned(4, 1_080, 8, {"classifier": "classifier.4.weight aux_classifier.4.weight"})
    ),
    "torchvision DeepLabV3": Architecture(deeplab, images(64), Planned(9, 977_688, 18, {"classifier": "classifier.4.weight"})),
    "torchvision RetinaNet": Architecture(
        retina_net,
        detected,
        Planned(
            10, 5_400, 4, {"classifier": "head.classification_head.cls_logits.weight head.regression_head.bbox_reg.weight"}
        ),
    ),
    "torchvision Mask R-CNN": Architecture(
        mask_rcnn,
        detected,
        Planned(
            8,
            7_624,
            4,
            {
                "classifier": "rpn.head.cls_logits.weight rpn.head.bbox_pred.weight roi_heads.box_predictor.cls_score.weight roi_heads.box_predictor.bbox_pred.weight roi_heads.mask_predictor.mask_fcn_logits.weight"
            },
        ),
    ),
    "timm test_resnet": Architecture(of_timm("test_resnet"), images(), Planned(15, 370_608, 30, {"classifier": "fc.weight"})),
    "timm test_vit": Architecture(
        of_timm("test_vit", img_size=32),
        images(),
        Planned(25, 294_912, 26, {"position or token": "pos_embed", "classifier": "head.weight"}),
    ),
    "timm test_convnext": Architecture(
        of_timm("test_convnext"), images(), Planned(31, 202_904, 28, {"classifier": "head.fc.weight"})
    ),
    "timm test_efficientnet": Architecture(
        of_timm("test_efficientnet"), images(), Planned(17, 96_328, 26, {"classifier": "classifier.weight"})
    ),
    "timm test_nfnet": Architecture(
        of_timm("test_nfnet"), images(), Planned(33, 187_056, 25, {"classifier": "head.fc.weight"})
    ),
    "timm test_byobnet": Architecture(
        of_timm("test_byobnet"), images(), Planned(22, 197_128, 28, {"classifier": "head.fc.weight"})
    ),
    "timm deit_tiny_distilled": Architecture(
        of_timm("deit_tiny_distilled_patch16_224", **_SMALL_VIT),
        images(),
        Planned(9, 32_256, 10, {"position or token": "pos_embed", "classifier": "head.weight head_dist.weight"}),
    ),
    "timm levit": Architecture(
        of_timm("levit_128s", img_size=64, embed_dim=(16, 24, 32), depth=(1, 1, 1), num_heads=(1, 2, 2), key_dim=8),
        images(64),
        Planned(26, 31_134, 56, {"classifier": "head.linear.weight head_dist.linear.weight"}),
    ),
    "timm convnextv2": Architecture(
        of_timm("convnextv2_atto", depths=(1, 1, 1, 1), dims=(8, 8, 16, 16)),
        images(64),
        Planned(16, 9_648, 26, {"classifier": "head.fc.weight"}),
    ),
    "timm swin": Architecture(
        of_timm("swin_tiny_patch4_window7_224", img_size=32, window_size=4, embed_dim=8, depths=(1, 1), num_heads=(1, 2)),
        images(),
        Planned(10, 4_736, 14, {"classifier": "head.fc.weight"}),
    ),
    "timm mixer": Architecture(mixer, images(64), Planned(9, 53_376, 10, {"classifier": "head.weight"})),
    "timm resmlp": Architecture(resmlp, images(), Planned(7, 14_368, 10, {"classifier": "head.weight"})),
    "timm densenet": Architecture(
        of_timm("densenet121", growth_rate=4, block_config=(2, 2)),
        images(),
        Planned(10, 4_248, 22, {"classifier": "classifier.weight"}),
    ),
    "timm cait": Architecture(
        of_timm("cait_xxs24_224", **_SMALL_VIT),
        images(),
        Planned(25, 46_096, 18, {"position or token": "pos_embed", "classifier": "head.weight"}),
    ),
    "timm xcit": Architecture(
        of_timm("xcit_nano_12_p16_224", **_SMALL_VIT), images(), Planned(29, 33_531, 34, {"classifier": "head.weight"})
    ),
    "transformers Llama": Architecture(
        of_transformers("LlamaForCausalLM", "LlamaConfig", **_CAUSAL),
        words(),
        Planned(14, 3_840, 5, {"embedding": "model.embed_tokens.weight", "classifier": "lm_head.weight"}),
    ),
    "transformers Gemma": Architecture(
        of_transformers("GemmaForCausalLM", "GemmaConfig", **_CAUSAL),
        words(),
        Planned(14, 3_840, 5, {"tied to an embedding": "model.embed_tokens.weight"}),
    ),
    "transformers Mixtral": Architecture(
        of_transformers("MixtralForCausalLM", "MixtralConfig", **_CAUSAL, num_local_experts=3),
        words(),
        Planned(14, 8_544, 5, {"embedding": "model.embed_tokens.weight", "classifier": "lm_head.weight"}),
    ),
    "transformers T5": Architecture(
        of_transformers("T5ForConditionalGeneration", "T5Config", **_T5),
        words(decoder_input_ids=torch.tensor([[0, 3], [0, 5]])),
        Planned(
            16,
            4_608,
            7,
            {
                "tied to an embedding": "shared.weight",
                "embedding": "encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight decoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight",
            },
        ),
    ),
    "transformers GPT-2": Architecture(
        of_transformers("GPT2LMHeadModel", "GPT2Config", **_GPT2),
        words(),
        Planned(8, 6_144, 10, {"tied to an embedding": "transformer.wte.weight", "embedding": "transformer.wpe.weight"}),
    ),
    "transformers BERT": Architecture(
        of_transformers("BertForSequenceClassification", "BertConfig", **_TEXT),
        words(),
        Planned(
            13,
            3_840,
            10,
            {
                "embedding": "bert.embeddings.word_embeddings.weight bert.embeddings.position_embeddings.weight bert.embeddings.token_type_embeddings.weight",
                "classifier": "classifier.weight",
            },
        ),
    ),
    "transformers SegFormer": Architecture(
        of_transformers("SegformerForSemanticSegmentation", "SegformerConfig", **_SEGFORMER),
        images(name="pixel_values"),
        Planned(40, 21_400, 40, {"classifier": "decode_head.classifier.weight"}),
    ),
    "transformers ConvNeXt V2": Architecture(
        of_transformers("ConvNextV2ForImageClassification", "ConvNextV2Config", **_STAGES),
        images(name="pixel_values"),
        Planned(16, 9_648, 26, {"classifier": "classifier.weight"}),
    ),
}
