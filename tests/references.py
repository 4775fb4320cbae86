"""Every network of others, small."""

from typing import Any

NARROW: dict[str, dict[str, Any]] = {
    "unet": {"channels": [4, 6, 8, 10, 12]},
    "residual_unet": {"channels": [4, 6, 8, 10, 12]},
    "fcn": {"channels": [4, 6, 8, 10, 12]},
    "segnet": {"channels": [4, 6, 8, 10, 12]},
    "miniseg": {},
    "densevoxelnet": {"growth": 2},
    "skipdensenet": {"growth": 2},
    "monai:DynUNet": {"filters": [4, 6, 8, 10]},
    "monai:SwinUNETR": {"feature_size": 12},
    "monai:SegResNet": {"init_filters": 8},
    "monai:VNet": {},
    "monai:UNETR": {"hidden_size": 24, "mlp_dim": 24, "num_heads": 2, "feature_size": 4},
    "monai:HighResNet": {
        "layer_params": [
            {"name": "conv_0", "n_features": 4, "kernel_size": 3},
            {"name": "res_1", "n_features": 4, "kernels": [3, 3], "repeat": 1},
            {"name": "conv_1", "n_features": 8, "kernel_size": 1},
            {"name": "conv_2", "kernel_size": 1},
        ]
    },
    "monai:AttentionUnet": {"channels": [4, 6, 8, 10]},
    "monai:BasicUNetPlusPlus": {"features": [4, 4, 4, 4, 4, 4]},
    "monai:MedNeXt": {"init_filters": 4},
    "smp:DeepLabV3Plus:resnet18": {},
    "smp:PSPNet:resnet18": {},
    "smp:Unet:resnet18": {},
}
"""Name -> arguments that make it so."""
