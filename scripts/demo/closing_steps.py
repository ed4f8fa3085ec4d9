"""Steps 9 and 10: a real image to a device's endpoint, and the report with pictures of every page."""

import json
import subprocess
import sys

from scripts.demo.golden import SAME
from scripts.demo.pictures import draw_pictures
from scripts.demo.prober import ask, read_endpoint
from scripts.demo.programs import StepError
from scripts.demo.report import write_report
from scripts.demo.state import DEVICES, MODEL, Demo

PAGES = 6


def ask_endpoint(demo: Demo) -> None:
    """Step 9: one real image to an agent's local endpoint; desk, command line and endpoint agree."""
    demo.console.step(9, "One real image is sent to a device")
    device = DEVICES[1]
    url = read_endpoint(demo.home(device))
    if url is None:
        raise StepError(f"{device} has no endpoint")
    test = [sample for sample in json.loads((demo.project / "versions" / "1.json").read_text())["samples"] if sample["split"] == "test"]
    sample = test[7]
    image = demo.project / "blobs" / sample["sha256"][:2] / sample["sha256"]
    answer = ask(url, image.read_bytes())
    text = (
        f"label {answer['label']}, confidence {float(str(answer['score'])):.3f}, {answer['model_name']} version {answer['model_version']}"
    )
    demo.hold("the device knows the digit", answer["label"] == sample["label"], f"{text} (a person said {sample['label']})")
    demo.results["answer"] = answer
    compare_golden(demo, url)


def compare_golden(demo: Demo, url: str) -> None:
    """Golden samples: the same answers from the studio's engine, `eyelet-agent predict` and the endpoint."""
    script = demo.programs.command("eyelet-agent")[0]
    archive = next((demo.project / "packages").glob("*-2.eyelet"))
    public = demo.folder / "public"
    demo.studio("keys", "export-public", public)
    key = next(public.glob(f"model-{MODEL}*.pub.json"))
    answer = subprocess.run(
        [script, "predict", archive, "--key", key, "--golden", "--variant", "onnx-float32", "--json"],
        capture_output=True,
        text=True,
        check=False,
        env=demo.programs.environment,
    )
    if answer.returncode:
        raise StepError(f"eyelet-agent predict failed: {answer.stderr[-500:]}")
    code = [sys.executable, "-m", "scripts.demo.golden", str(demo.project / "packages" / archive.stem), url]
    found = subprocess.run(code, capture_output=True, text=True, check=False, env=demo.programs.environment)
    if found.returncode:
        raise StepError(f"the golden samples differ: {found.stdout}{found.stderr[-500:]}")
    measured = json.loads(found.stdout)
    checked = json.loads(answer.stdout.splitlines()[-1])
    demo.results["golden"] = {"predict": checked, "endpoint": measured}
    demo.hold(
        "golden samples: desk, predict and endpoint give the same answer",
        measured["desk_to_device"] <= SAME and checked["max_difference"] <= SAME,
        f"{measured['samples']} samples; desk to endpoint ({measured['variant']}) {measured['desk_to_device']:.1e}, "
        f"predict (onnx-float32) {checked['max_difference']:.1e} from the desk's",
    )


def report(demo: Demo) -> None:
    """Step 10: a table of what held, the report, and pictures of every page of the studio."""
    demo.console.step(10, "The report")
    if demo.prober:
        demo.prober.stop()
    pictures = draw_pictures(demo)
    shots = demo.folder / "screenshots"
    with demo.console.working("drawing the studio's pages"):
        demo.programs.run("eyelet-studio", "--screenshots", shots, "--project", demo.project, *demo.publishing, timeout_s=180)
    pages = sorted(shots.glob("*.png"))
    demo.hold("every page of the studio is drawn", len(pages) >= PAGES, f"{len(pages)} pictures")
    path = write_report(demo, pictures, pages)
    demo.console.table(
        "what held",
        ["claim", "", "evidence"],
        [[claim, "yes" if holds else "NO", evidence[:160]] for claim, holds, evidence in demo.held],
        numbers=False,
    )
    demo.console.say(f"report       {path}")
    demo.console.say(f"screenshots  {shots}")
    demo.console.say(f"project      {demo.project}   (make studio, then open it; passphrase in {demo.folder / 'passphrase.txt'})")
