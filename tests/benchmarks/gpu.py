"""What a GPU makes of it: `python -m tests.benchmarks.gpu [FILE.json]`, within ten minutes.

Stable Diffusion 1.5's shapes with random weights, 512 x 512 pixels, 25 guided steps, the batch chosen by the engine:
images a second of `fill`, encoding and ledger included, beside a plain batched loop and a batch-1 loop of diffusers and
the engine with its whole UNet compiled; their share of the matrix peak that is measured first; and a LoRA step beside
a bare one. FILE.json is written anew after each part, so that what was measured is kept whatever happens. `--reduced`
does the same with a small base on any machine, so that it runs before there is a GPU.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from balancer.devices import choose_device
from balancer.generators.models.checkpoint import Checkpoint, find_checkpoint
from balancer.generators.sampling import SamplingOptions, resolve_config
from balancer.generators.stable_diffusion import StableDiffusion
from balancer.imaging.decode import OutputFormat
from balancer.jobs import GenerationConfig, Job, ModeDraw, job_seed
from balancer.prompting.packs import load_pack
from balancer.prompting.prompts import make_prompt
from tests.benchmarks.lora import bench_lora, write_base
from tests.support.tiny_models import write_xrays

MINUTES = 10.0
_FILE = OutputFormat("PNG", ".png", "L", 8, None)


@dataclass(slots=True)
class Sheet:
    """The figures so far, in a file; a part that the time is too short for is left out and named."""

    path: Path
    minutes: float
    began: float = field(default_factory=time.monotonic)
    figures: dict[str, Any] = field(default_factory=dict)

    def part(self, name: str, work: Callable[[], Any], *, minutes: float = 0.0) -> Any:
        """Do a part that takes about so many minutes, unless they are not left; gives what it gave, or `None`."""
        left = self.minutes - (time.monotonic() - self.began) / 60
        began, found = time.monotonic(), None
        try:
            if left < minutes:
                raise TimeoutError(f"{left:.1f} minutes left of about {minutes:g}")
            found = self.figures[name] = work()
        except Exception as error:  # the other parts are worth having
            self.figures[name] = f"not measured: {type(error).__name__}: {str(error).splitlines()[0]}"
        self.figures.setdefault("seconds of each part", {})[name] = round(time.monotonic() - began, 1)
        self.path.write_text(json.dumps(self.figures, indent=2) + "\n", encoding="utf-8")
        print(f"{name}: {self.figures[name]}", flush=True)
        return found


@dataclass(frozen=True, slots=True)
class Bench:
    """A base on a device, and the settings that `fill` would take."""

    checkpoint: Checkpoint
    device: str
    config: GenerationConfig

    def jobs(self, count: int, first: int = 0) -> list[Job]:
        """Jobs of one class."""
        pack, config = load_pack("chest"), self.config
        return [
            Job("nodule", i, make_prompt(pack, "nodule", i, 0), job_seed(0, "nodule", i), config, ModeDraw(), _FILE)
            for i in range(first, first + count)
        ]

    def generator(self) -> StableDiffusion:
        """The engine, loaded."""
        return StableDiffusion(self.checkpoint, None, self.config, self.device)

    def seconds(self, work: Callable[[], object]) -> float:
        """How long something takes, whatever the device still had to do."""
        self.wait()
        began = time.perf_counter()
        work()
        self.wait()
        return time.perf_counter() - began

    def wait(self) -> None:
        """Until the device has done all it was given."""
        if self.device.startswith("cuda"):
            torch.cuda.synchronize()


def set_up(folder: Path, *, reduced: bool, steps: int) -> Bench:
    """A base of random weights, and the engine's own choice of a batch."""
    device = choose_device("auto")
    checkpoint = find_checkpoint(str(write_base(folder / "base", large=not reduced)))
    sampling = SamplingOptions(
        steps=steps, size=32 if reduced else 512, batch_size=2 if reduced else None, device=device
    )
    return Bench(checkpoint, device, resolve_config(checkpoint, None, sampling))


def matrix_peak(bench: Bench, side: int) -> float:
    """TFLOP a second of products of square matrices, in the precision that draws."""
    dtype = getattr(torch, bench.config.dtype)
    a, b = (torch.randn(side, side, device=bench.device).to(dtype) for _ in range(2))

    def products() -> None:
        for _ in range(20):
            torch.matmul(a, b)

    products()
    return 20 * 2 * side**3 / min(bench.seconds(products) for _ in range(5)) / 1e12


def work_of_an_image(bench: Bench) -> float:
    """TFLOP of one image: the UNet twice a step, since it is guided, and the decoder once."""
    from torch.utils.flop_counter import FlopCounterMode

    pipe, config = bench.generator().pipe, bench.config
    cells, dtype = config.width // pipe.vae_scale_factor, getattr(torch, config.dtype)
    latents = torch.zeros(1, pipe.unet.config.in_channels, cells, cells, device=bench.device, dtype=dtype)
    words = torch.zeros(1, 77, pipe.unet.config.cross_attention_dim, device=bench.device, dtype=dtype)

    def count(work: Callable[[], object]) -> int:
        with torch.no_grad(), FlopCounterMode(display=False) as counter:
            work()
        return int(counter.get_total_flops())

    step = count(lambda: pipe.unet(latents, torch.zeros((), device=bench.device), encoder_hidden_states=words))
    return (2 * config.steps * step + count(lambda: pipe.vae.decode(latents))) / 1e12


def engine_speed(bench: Bench, batches: int, *, compile_unet: bool = False) -> dict[str, float]:
    """Images a second of the engine alone, and the memory that it took; the first batch does not count."""
    generator, size = bench.generator(), bench.config.batch_size
    if compile_unet:
        generator.pipe.unet = torch.compile(generator.pipe.unet, fullgraph=True, dynamic=False)
    first = bench.seconds(lambda: generator.generate(bench.jobs(size)))
    taken = bench.seconds(lambda: [generator.generate(bench.jobs(size, size * i)) for i in range(1, batches + 1)])
    found = {"images a second": batches * size / taken, "seconds of the first batch": first}
    if bench.device.startswith("cuda"):
        found["GiB at most"] = torch.cuda.max_memory_allocated() / 2**30
    return found


def pays_from(plain: Mapping[str, float], compiled: Mapping[str, float]) -> float | None:
    """From how many images on the compiled UNet has made up for its compilation; `None`: never.

    >>> plain = {"images a second": 1.0, "seconds of the first batch": 5.0}
    >>> pays_from(plain, {"images a second": 2.0, "seconds of the first batch": 65.0})
    120.0
    >>> pays_from(plain, {"images a second": 1.0, "seconds of the first batch": 65.0}) is None
    True
    """
    saved = 1 / plain["images a second"] - 1 / compiled["images a second"]
    cost = compiled["seconds of the first batch"] - plain["seconds of the first batch"]
    return cost / saved if saved > 0 else None


def fill_speed(bench: Bench, batches: int, folder: Path) -> float:
    """Images a second of `fill`: drawn, encoded with their XMP, written, and recorded in the ledger; not screened."""
    from balancer.collection.scan import scan
    from balancer.filling.recipe import Recipe, measure_profile
    from balancer.filling.run import generate
    from balancer.filling.runner import LocalRunner
    from balancer.planning import make_plan
    from balancer.splits.split import draw_split, training_counts
    from balancer.store.database import Ledger
    from balancer.store.state_dir import find_or_make_state

    side = bench.config.width
    write_xrays(folder / "xrays", {"normal": 20, "nodule": 10}, size=(side, side))
    collection = scan(folder / "xrays", r"(p\d+)")
    split, generator = draw_split(collection), bench.generator()
    recipe = Recipe(
        dict.fromkeys(collection.labels, load_pack("chest")), bench.config, measure_profile(collection, split)
    )
    generator.generate(bench.jobs(bench.config.batch_size))
    wanted = batches * bench.config.batch_size
    plan = make_plan(counts := training_counts(collection, split), [f"nodule={counts['nodule'] + wanted}"])
    state = find_or_make_state(folder, collection.root)

    def whole() -> None:
        with Ledger(state) as ledger:
            generate(
                collection,
                plan,
                recipe,
                ledger=ledger,
                store=state.candidates,
                runner=LocalRunner(),
                make_generator=lambda: generator,
                screen=accept_all,
            )

    return wanted / bench.seconds(whole)


def accept_all(batch: Sequence[Any], accepted: Sequence[Any]) -> list[Any]:
    """A screen that looks at nothing."""
    from balancer.jobs import Verdict

    return [Verdict("accept", {}, (), "nobody") for _ in batch]


def plain_speed(bench: Bench, size: int, batches: int) -> float:
    """Images a second of a loop over diffusers' own pipeline, as its documentation writes one."""
    batch = plain_batch(bench, size)
    batch(0)
    return batches * size / bench.seconds(lambda: [batch(number + 1) for number in range(batches)])


def plain_batch(bench: Bench, size: int) -> Callable[[int], object]:
    """Draws batch number n by diffusers' own pipeline, with what the engine draws by: solver, guidance, precision."""
    from diffusers import StableDiffusionPipeline

    from balancer.generators.scheduler import our_scheduler

    config = bench.config
    pipe = StableDiffusionPipeline.from_pretrained(
        bench.checkpoint.folder, use_safetensors=True, local_files_only=True, dtype=getattr(torch, config.dtype)
    ).to(bench.device)
    pipe.scheduler = our_scheduler(pipe.scheduler.config)
    pipe.set_progress_bar_config(disable=True)

    def batch(number: int) -> object:
        jobs = bench.jobs(size, number * size)
        return pipe(
            [job.prompt.text for job in jobs],
            negative_prompt=[job.prompt.negative for job in jobs],
            generator=[torch.Generator("cpu").manual_seed(job.seed) for job in jobs],
            num_inference_steps=config.steps,
            guidance_scale=config.guidance_scale,
            width=config.width,
            height=config.height,
        )

    return batch


def measure(
    path: Path, *, reduced: bool, steps: int = 25, batches: int = 2, minutes: float = MINUTES
) -> dict[str, Any]:
    """All parts, the surest first; gives what is in the file."""
    sheet = Sheet(path, minutes)
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        bench = set_up(folder, reduced=reduced, steps=steps)
        config = bench.config
        sheet.figures |= {
            "device": torch.cuda.get_device_name() if bench.device.startswith("cuda") else bench.device,
            "torch": torch.__version__,
            "base": "64 and 128 channels" if reduced else "Stable Diffusion 1.5's shapes",
            "settings": {"size": config.width, "steps": steps, "batch": config.batch_size, "dtype": config.dtype},
        }
        peak = sheet.part("matrix peak, TFLOP/s", lambda: matrix_peak(bench, 256 if reduced else 8192))
        work = sheet.part("one image, TFLOP", lambda: work_of_an_image(bench))
        engine = sheet.part("engine", lambda: engine_speed(bench, batches), minutes=0.5)
        sheet.part("fill, images a second", lambda: fill_speed(bench, batches, folder), minutes=0.5)
        sheet.part(
            "plain batched loop, images a second", lambda: plain_speed(bench, config.batch_size, batches), minutes=0.5
        )
        sheet.part("batch-1 loop, images a second", lambda: plain_speed(bench, 1, 3 * batches), minutes=0.5)
        sheet.part("LoRA step, of a bare one's speed", lambda: bench_lora(5 if reduced else 20).value, minutes=1.5)
        compiled = None
        if not reduced:
            compiled = sheet.part(
                "engine, whole UNet compiled", lambda: engine_speed(bench, batches, compile_unet=True), minutes=3
            )
        if engine and compiled:
            sheet.part("images from which compiling pays", lambda: pays_from(engine, compiled))
        if peak and work:
            shares = {
                name: found["images a second"] * work / peak
                for name, found in (("engine", engine), ("compiled", compiled))
                if found
            }
            sheet.part("share of the matrix peak", lambda: shares)
    return sheet.figures


def main() -> None:
    """Measure, and say where the figures are."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", nargs="?", type=Path, default=Path("bench_gpu.json"))
    parser.add_argument("--reduced", action="store_true", help="a small base, on any machine")
    parser.add_argument("--minutes", type=float, default=MINUTES, help="leave out what would take longer")
    given = parser.parse_args()
    if not given.reduced and not torch.cuda.is_available():
        parser.error("there is no GPU here that torch can use: try it with --reduced")
    measure(
        given.file,
        reduced=given.reduced,
        steps=2 if given.reduced else 25,
        batches=1 if given.reduced else 2,
        minutes=given.minutes,
    )
    print(f"Written: {given.file}")


if __name__ == "__main__":
    main()
