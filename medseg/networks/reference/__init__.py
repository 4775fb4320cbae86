"""Networks of others, to compare with: MONAI's, segmentation_models_pytorch's, and classics."""
