"""From a small CNN to a package: ``python examples/optimize/small_cnn.py``."""

import torch

import turnkey
import turnkey.navigator as nav


class SmallCNN(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.features = torch.nn.Sequential(
            torch.nn.Conv2d(3, 16, 3, stride=2, padding=1), torch.nn.ReLU(), torch.nn.AdaptiveAvgPool2d(1)
        )
        self.classifier = torch.nn.Linear(16, 10)

    def forward(self, image: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"scores": self.classifier(self.features(image).flatten(1))}


if __name__ == "__main__":  # measuring starts fresh processes, which import this file
    torch.manual_seed(0)
    package = turnkey.optimize(
        SmallCNN(),
        dataloader=[torch.randn(2, 3, 64, 64) for _ in range(4)],
        target_formats=["torchscript", "onnx"],
        runners=["TorchCPU", "TorchScriptCPU", "OnnxCPU"],
        custom_configs=[nav.TorchScriptConfig(jit_type="trace", strict=False)],
        profiler_config=nav.ProfilerConfig(batch_sizes=[1, 8]),
        workspace="small_cnn",
    )
    print(package.summary())
    best = package.get_best_runtime(nav.MinLatencyStrategy())
    print(
        f"best: {best.model_key} @ {best.runner_name}" + (f", tied with {', '.join(best.ties)}" if best.ties else "")
    )

    with package.get_runner(nav.MinLatencyStrategy()) as runner:
        print(runner.infer({"input__0": torch.zeros(1, 3, 64, 64).numpy()})["scores"].shape)
    nav.package.save(package, "small_cnn.nav", override=True)
    nav.triton.model_repository.add_model_from_package("models-to-serve", "small_cnn", package, override=True)
