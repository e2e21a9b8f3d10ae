"""Does the page hold what it shows, ask nothing of the internet, and do what it says?

The last tests run it: its functions in node, the whole of it in Chromium, where these are installed.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import shutil
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

import netdsl
from netdsl import Net, UsageError
from netdsl.draw.html import html_page, page_data
from netdsl.draw.shares import shares
from netdsl.draw.structure import structure
from netdsl.outline import Outline
from netdsl.size import total

ROOT = Path(__file__).resolve().parent.parent
SCRIPT = ROOT / "netdsl" / "draw" / "page" / "page.js"
NETS = ["alexnet", "googlenet", "resnet50", "densenet201", "unet", "fcn8s", "fractalnet", "lstm_digits", "vit_b_16"]
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)
NODE = shutil.which("node")


class Reader(HTMLParser):
    """What stands in a page: the tags in order, the texts of scripts and styles, and every address."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.inline: dict[str, str] = {}
        self.ids: list[str] = []
        self.policy = ""
        self.outside: list[str] = []
        self.title = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.ids += [given["id"]] if given.get("id") else []  # type: ignore[list-item]
        self.outside += [value or "" for name, value in attrs if name in ("src", "href", "action", "srcset")]
        if given.get("http-equiv") == "Content-Security-Policy":
            self.policy = given["content"] or ""
        if tag not in ("meta", "input", "link", "br"):
            self.open.append(given.get("id") or tag if tag == "script" else tag)

    def handle_endtag(self, tag: str) -> None:
        last = self.open.pop()
        assert last == tag or tag == "script", f"</{tag}> closes <{last}>"

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] in ("style", "script", "network"):
            self.inline[self.open[-1]] = self.inline.get(self.open[-1], "") + data
        if self.open and self.open[-1] == "title":
            self.title += data


def read(page: str) -> Reader:
    reader = Reader()
    reader.feed(page)
    reader.close()
    assert reader.open == [], "every tag is closed"
    return reader


def boxes(body: dict[str, Any]) -> list[dict[str, Any]]:
    """All boxes of a body of the page."""
    found = []
    for item in body["items"]:
        if "branches" in item:
            found += [box for branch in item["branches"] for box in boxes(branch)]
            found += [item["join"]] if item["join"] else []
        else:
            found.append(item)
    for link in body.get("links", []):
        found += boxes(link["via"]) if "via" in link else []
    return found


@pytest.mark.parametrize("name", NETS)
def test_a_page_holds_every_box_once_and_nothing_from_elsewhere(name: str) -> None:
    net = netdsl.load(name)
    page = html_page(net)
    reader = read(page)
    assert reader.outside == []
    assert not re.search(r"https?://(?!www\.w3\.org/2000/svg)", page)
    assert len(set(reader.ids)) == len(reader.ids)
    data = json.loads(reader.inline["network"])
    assert data == {**page_data(net), "depth": 0}
    root = data["bodies"][data["root"]]
    assert [box["id"] for box in boxes(root)] == [box.id for box in structure(net).boxes]
    for body in data["bodies"]:
        ids = [box["id"] for box in boxes(body)]
        assert len(set(ids)) == len(ids)
        for link in body.get("links", []):
            assert {link["from"], link["to"]} <= {"", *ids}
        for box in boxes(body):
            assert box["kind"] in data["kinds"]
    reached = {data["root"]} | {box["body"] for body in data["bodies"] for box in boxes(body) if "body" in box}
    assert reached == set(range(len(data["bodies"])))


def test_the_policy_allows_the_two_inline_texts_and_nothing_else() -> None:
    reader = read(html_page(netdsl.load("resnet18")))
    for name in ("style", "script"):
        digest = base64.b64encode(hashlib.sha256(reader.inline[name].encode()).digest()).decode()
        assert f"{name}-src 'sha256-{digest}'" in reader.policy
    assert "default-src 'none'" in reader.policy
    assert "unsafe" not in reader.policy
    assert not re.search(r"\beval\(|innerHTML|insertAdjacentHTML|document\.write|new Function", reader.inline["script"])


def test_costs_of_a_page_add_up_to_those_of_the_network() -> None:
    """Each level of the tree has the whole: what blocks cost is what is in them, as often as they are applied."""
    net = netdsl.load("resnet50")
    data = page_data(net)

    def of(index: int, cost: str) -> int:
        found = 0
        for box in boxes(data["bodies"][index]):
            times = 1 if box.get("steps") else box.get("count", 1)
            found += times * of(box["body"], cost) if "body" in box else box.get(cost, 0)
        return found

    for cost, whole in (("params", net.params), ("macs", net.macs), ("values", data["totals"]["values"])):
        assert sum(box.get(cost, 0) for box in boxes(data["bodies"][data["root"]])) == whole
        assert of(data["root"], cost) == whole


@pytest.mark.parametrize("name", ["resnet50", "densenet121", "googlenet", "mobilenet_v2", "inception_v4"])
def test_receptive_fields_of_a_page_are_those_of_the_outline(name: str) -> None:
    """Composed on the way down to each box, as the page does: what the first and the last application see."""
    net = netdsl.load(name)
    data = page_data(net)
    outline = {row.path: row for row in Outline(net).walk(1) if not row.training}
    known = 0
    for box in boxes(data["bodies"][data["root"]]):
        row = outline.get(box["id"])
        if row is None or box.get("count", 1) > 1:
            continue
        reaches = list(row.receptive)
        if all(reach.whole for reach in reaches):
            assert box["sees"] == "all"
        else:
            assert box["sees"] == [[reach.size, reach.jump] for reach in reaches]
        known += 1
        if "inside" in box and box["inside"] != "all":
            last = [inner["sees"] for inner in boxes(data["bodies"][box["body"]]) if "sees" in inner][-1]
            if last != "all" and not box.get("steps") and box["sees"] != "all":
                (wide, step), (size, _) = box["inside"][0], last[0]
                assert wide + (size - 1) * step <= box["sees"][0][0]
    assert known >= 3


def test_receptive_fields_of_the_lecture() -> None:
    """AlexNet's last pool sees 195 x 195, that of VGG-16 212 x 212; a box of three convolutions what the third one sees."""
    for name, pool, size in (("alexnet", "conv5_pool", 195), ("vgg16", "features.pool5", 212)):
        data = page_data(netdsl.load(name))
        by_id = {box["id"]: box for box in boxes(data["bodies"][data["root"]])}
        assert by_id[pool]["sees"] == [[size, 32], [size, 32]]
    assert by_id["features.conv3.0.conv1"]["count"] == 3
    assert by_id["features.conv3.0.conv1"]["sees"] == [[40, 4], [40, 4]]


def test_the_three_facts_of_the_lecture_are_read_off_alexnet() -> None:
    """Parameters in the FC layers (96 %), multiply-accumulates in the convolutions (92 %)."""
    net = netdsl.load("alexnet")
    by_kind = {share.kind: share for share in shares(net)}
    assert total(share.params for share in by_kind.values()) == net.params
    assert total(share.macs for share in by_kind.values()) == net.macs
    assert by_kind["fc"].params / net.params == pytest.approx(0.961, abs=0.001)  # type: ignore[operator]
    assert by_kind["conv"].macs / net.macs == pytest.approx(0.919, abs=0.001)  # type: ignore[operator]
    assert by_kind["conv"].values > 50 * by_kind["fc"].values


def test_a_network_of_many_layers_is_a_small_page() -> None:
    assert len(html_page(netdsl.load("resnet1202"))) < 100_000
    assert len(page_data(netdsl.load("resnet1202"))["bodies"]) == len(page_data(netdsl.load("resnet20"))["bodies"])


def hostile(tmp_path: Path) -> Net:
    """Its file is called what HTML would read, and its title holds `<`."""
    spec = tmp_path / "a_b&'<x>!--.net"
    spec.write_text(
        "net größe_λ(a=1)\ninput 3 x H x W\nlet_ = CONV 8 -> RELU\n(if a < 2 then CONV 8 else RELU) * 300\n",
        encoding="utf-8",
    )
    return netdsl.load(spec)


def test_texts_cannot_leave_their_place(tmp_path: Path) -> None:
    page = html_page(hostile(tmp_path))
    assert "<x>!--" not in page
    reader = read(page)
    assert reader.title == "größe_λ"
    data = json.loads(reader.inline["network"])
    assert any("a_b&'<x>!--.net" in box.get("at", "") for body in data["bodies"] for box in boxes(body))


def test_open_sizes_are_formulas(tmp_path: Path) -> None:
    data = page_data(hostile(tmp_path))
    assert isinstance(data["totals"]["macs"], str)
    assert isinstance(data["totals"]["params"], int)
    assert any("H" in box["shape"] for box in boxes(data["bodies"][data["root"]]))
    assert data["notes"]


def test_a_page_is_the_same_each_time() -> None:
    assert html_page(netdsl.load("googlenet")) == html_page(netdsl.load("googlenet"))


def test_too_many_boxes_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("netdsl.draw.html.MAX_BOXES", 10)
    with pytest.raises(UsageError, match="boxes, and a page holds at most 10"):
        html_page(netdsl.load("googlenet"))


# --- in node ---------------------------------------------------------------------------------------------------


@pytest.mark.skipif(NODE is None, reason="node is not installed")
def test_numbers_and_finding() -> None:
    assert NODE is not None
    program = f"""
        const page = require({json.dumps(str(SCRIPT))});
        const network = JSON.parse(require("fs").readFileSync(0, "utf8"));
        console.log(JSON.stringify({{
            digits: [0, 999, 1000, 1234567].map(page.digits),
            bytes: [1, 2048, 999.9e6].map(page.bytes),
            percent: [0, 0.0001, 0.05, 0.5, 0.999, 1].map(page.percent),
            share: page.share(network, {{macs: network.totals.macs / 4}}, {{applications: 2}}, "macs"),
            open: page.share(network, {{macs: "H*W"}}, {{applications: 2}}, "macs"),
            training: page.share(network, {{macs: 5, training: true}}, {{applications: 2}}, "macs"),
            seen: [page.seen([[3, 1], [3, 2]], [[11, 4], [11, 4]]), page.seen([[3, 1]], []), page.seen("all", []),
                   page.seen([[3, 1]], null)],
            found: page.foundIn(network, ["3x3"])[network.root],
            none: page.foundIn(network, ["zebra"])[network.root],
        }}));
    """
    data = page_data(netdsl.load("resnet18"))
    done = subprocess.run([NODE, "-e", program], input=json.dumps(data), capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["digits"] == ["0", "999", "1,000", "1,234,567"]
    assert result["bytes"] == ["1 B", "2.05 kB", "1.00 GB"]
    assert result["percent"] == ["", "<0.1 %", "5.0 %", "50 %", "99.9 %", "100 %"]
    assert result["share"] == 0.5
    assert result["open"] is None
    assert result["training"] is None
    assert result["seen"] == [[[19, 4], [19, 8]], [[3, 1]], "all", None]
    assert result["found"] >= 8
    assert result["none"] == 0


# --- in a browser ----------------------------------------------------------------------------------------------

USE = """
const result = {}, heads = () => [...document.querySelectorAll(".head")].filter((head) => head.offsetParent);
const text = (id) => document.getElementById(id).textContent;
const press = (element, key) => element.dispatchEvent(new KeyboardEvent("keydown", {key, bubbles: true}));
try {
  result.folded = heads().length;
  result.overview = text("details");
  const block = heads().find((head) => head.getAttribute("aria-expanded") === "false");
  block.click();
  result.opened = [heads().length, block.getAttribute("aria-expanded")];
  heads()[1].dispatchEvent(new MouseEvent("mouseover", {bubbles: true}));
  result.first = text("details");
  block.dispatchEvent(new MouseEvent("mouseover", {bubbles: true}));
  result.hovered = text("details");
  press(block, "ArrowLeft");
  result.closed = [heads().length, block.getAttribute("aria-expanded")];
  press(block, "ArrowRight");
  result.again = heads().length;
  document.querySelector("[value=params]").click();
  result.shares = heads().map((head) => head.querySelector(".share").textContent).filter(Boolean);
  document.getElementById("fold").click();
  result.all_folded = heads().length;
  document.getElementById("unfold").click();
  result.all = heads().length;
  document.getElementById("fold").click();
  location.hash = "#conv3/residual2/conv1";
  window.dispatchEvent(new HashChangeEvent("hashchange"));
  result.linked = [text("details"), document.querySelector(".chosen").textContent];
  document.getElementById("unfold").click();
  result.arcs = document.querySelectorAll(".arcs path").length;
  const search = document.getElementById("search");
  search.value = "3x3";
  search.dispatchEvent(new Event("input"));
  result.found = document.querySelectorAll(".found").length;
  result.status = text("status");
  document.getElementById("theme").click();
  result.theme = document.documentElement.dataset.theme;
  document.getElementById("fit").click();
  result.fits = document.getElementById("sheet").offsetHeight <= document.getElementById("canvas").clientHeight;
} catch (error) { result.error = String(error.stack); }
"""
LINES = """
const result = {crossed: []}, drawn = [...document.querySelectorAll(".box")].map((box) => [box, box.getBoundingClientRect()]);
for (const path of document.querySelectorAll(".arcs path:not(.tip)")) {
  const zero = path.ownerSVGElement.getBoundingClientRect(), length = path.getTotalLength();
  for (let at = 0; at < length; at += 3) {
    const point = path.getPointAtLength(at), x = zero.left + point.x, y = zero.top + point.y;
    for (const [box, r] of drawn) {
      if (x > r.left + 2 && x < r.right - 2 && y > r.top + 2 && y < r.bottom - 2) result.crossed.push(box.textContent);
    }
  }
}
"""
SHOW = """
const shown = document.createElement("pre");
shown.id = "result";
shown.textContent = JSON.stringify(result);
document.body.append(shown);
"""


def in_browser(net: Net, script: str, folder: Path) -> dict[str, Any]:
    """The `result` of a script that a browser runs on a page."""
    if CHROMIUM is None:
        pytest.skip("no Chromium is installed")
    page = html_page(net)
    page = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", page)  # it would forbid what follows
    (folder / "page.html").write_text(
        page.replace("</body>", f"<script>{script}{SHOW}</script></body>"), encoding="utf-8"
    )
    quiet = ["--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"]
    command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", *quiet, "--window-size=1200,900"]
    profile = f"--user-data-dir={folder / 'profile'}"
    try:
        done = subprocess.run(
            [*command, profile, "--dump-dom", (folder / "page.html").as_uri()],
            capture_output=True, text=True, timeout=60,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        pytest.skip("Chromium does not come up here")
    if not done.stdout.strip():
        pytest.skip(f"Chromium does not run here: {done.stderr.strip()[-200:]}")
    found = re.search(r'<pre id="result">(.*?)</pre>', done.stdout, re.S)
    assert found, done.stdout[-1000:]
    from html import unescape

    result: dict[str, Any] = json.loads(unescape(found[1]))
    assert "error" not in result, result["error"]
    return result


@pytest.fixture(scope="module")
def used(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What a browser makes of a page, when it is used."""
    return in_browser(netdsl.load("resnet18"), USE, tmp_path_factory.mktemp("browser"))


PYRAMID = """input 3 x 64 x 64
c2 = CONV 64 /4
c3 = CONV 128 /2
c4 = CONV 256 /2
p4 = CONV 512 /2 -> CONV 256 1x1
p3 = UPSAMPLE 2 -> identity + (c4 -> CONV 256 1x1)
p2 = UPSAMPLE 2 -> identity + (c3 -> CONV 256 1x1)
p1 = UPSAMPLE 2 -> identity + (c2 -> CONV 256 1x1)
output p1, p2, p3, p4
"""


def test_no_line_runs_through_a_box(tmp_path: Path) -> None:
    """Lines to side outputs pass between the boxes of lateral connections (Lin et al. 2017, fig. 3)."""
    assert in_browser(netdsl.loads(PYRAMID), LINES, tmp_path) == {"crossed": []}


def test_blocks_unfold_and_fold(used: dict[str, Any]) -> None:
    assert used["opened"][1] == "true"
    assert used["opened"][0] > used["folded"]
    assert used["closed"] == [used["folded"], "false"]
    assert used["again"] == used["opened"][0]
    assert used["all_folded"] == used["folded"]
    assert used["all"] > used["again"]
    assert used["arcs"] > 0


def test_what_a_box_costs_is_shown(used: dict[str, Any]) -> None:
    assert "11,689,512 parameters" in used["overview"]
    assert "147,968" in used["hovered"]
    assert "64 × 56 × 56" in used["hovered"]
    assert "specs/resnet18.net:" in used["hovered"]
    assert "72 %" in used["shares"]


def test_the_formula_and_the_receptive_field_are_shown(used: dict[str, Any]) -> None:
    """ResNet-18: 11 x 11 after the first pool, and two blocks of two 3x3 convolutions at stride 4: 11 + 4*2*4 = 43."""
    assert "43 × 43 of the input" in used["hovered"]
    assert "stride 4" in used["hovered"]
    assert "H = W = floor((224 - 7 + 2*3)/2) + 1 = 112" in used["first"]


def test_an_address_leads_to_a_box(used: dict[str, Any]) -> None:
    assert "conv3/residual2/conv1" in used["linked"][0]
    assert "CONV 128 3×3" in used["linked"][1]


def test_finding_theme_and_fitting(used: dict[str, Any]) -> None:
    assert used["found"] >= 8
    assert "elements match" in used["status"]
    assert used["theme"] == "light"
    assert used["fits"]
