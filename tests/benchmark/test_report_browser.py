"""The report in a real browser: headless Chromium, found by $MODECOV_CHROMIUM or as ``chromium``."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from benchmark.render.report.write import write_report
from benchmark.spec.run import Run
from benchmark.store.store import Store
from tests.benchmark.made import make_record
from tests.benchmark.test_report import EVIL, add_gaan_1, selected, stored

pytestmark = pytest.mark.slow

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

WAIT = 30_000

playwright = pytest.importorskip("playwright.sync_api", reason="no browser is driven: pip install -e '.[browser]'")
# What the page does is done when it has shown it, some moments after the click: each claim about it waits for that.
expect = playwright.expect
expect.set_options(timeout=WAIT)
CHROMIUM = os.environ.get("MODECOV_CHROMIUM") or shutil.which("chromium")
if not CHROMIUM:
    pytest.skip("no Chromium: set MODECOV_CHROMIUM to its path", allow_module_level=True)

GAAN = "gaan-2-short-corrected/gaan_2/registered_modes"
GAN = "gaan-2-short-corrected/gan/registered_modes"
CUBE = "aeis-1-short-gaan-nets/gan/cube27/captured_modes"


def add_cube(store: Store) -> Run:
    """A model in three dimensions with moments of its training."""
    selection = selected("aeis-1", methods=("gan",), datasets=("cube27",), seeds=(0,))
    run = selection.run(selection.rows[0], 0)
    record, samples = make_record(run)
    store.write(run, record, samples, np.random.default_rng(0).normal(size=(20, 400, 3)))
    return run


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder: Path = tmp_path_factory.mktemp("browser")
    store = stored(folder)
    add_cube(store)
    add_gaan_1(store)
    write_report(store, folder / "index.html")
    return (folder / "index.html").as_uri()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with playwright.sync_playwright() as driver:
        found = driver.chromium.launch(executable_path=CHROMIUM)
        yield found
        found.close()


@pytest.fixture
def page(browser: Browser, address: str, request: pytest.FixtureRequest) -> Iterator[Page]:
    """The report, opened from disk without a network; afterwards, whether the console had an error to tell."""
    context = browser.new_context(offline=True, **getattr(request, "param", {}))
    opened, said = context.new_page(), []
    opened.set_default_timeout(WAIT)
    opened.on("console", lambda message: said.append(message.text) if message.type == "error" else None)
    opened.on("pageerror", lambda error: said.append(str(error)))
    opened.on(
        "request", lambda asked: None if asked.url.startswith(("file:", "data:", "blob:")) else said.append(asked.url)
    )
    opened.goto(address)
    yield opened
    assert opened.evaluate("window.evil") is None
    assert said == []
    context.close()


PHONE = {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True, "color_scheme": "dark"}


@pytest.mark.parametrize("page", [{}, PHONE], indirect=True, ids=["desktop", "phone"])
def test_an_entry_opens_its_seeds(page: Page) -> None:
    page.locator(f'.entry[data-entry="{GAAN}"]').click()
    dialog = page.locator("dialog")
    expect(dialog.locator("h2")).to_have_text("GAAN_2: modes")
    dialog.locator(".chart .scatterlayer .trace").first.wait_for(state="attached")
    expect(dialog.locator(".seeds tbody tr")).to_have_count(3)
    # A curve per seed, and the samples over the 25 modes.
    expect(dialog.locator(".chart").first.locator(".scatterlayer .trace")).to_have_count(3)
    points = dialog.locator(".both .chart .scatterlayer .trace")
    expect(points.nth(0).locator(".point")).to_have_count(25)
    points.nth(1).locator(".point").nth(900).wait_for(state="attached")
    dialog.locator("select").select_option("cv")
    command = dialog.locator(".command code").first
    expect(command).to_contain_text("python -m benchmark verify --cell ")
    before = command.text_content()
    dialog.locator("button", has_text="Show").nth(2).click()
    expect(command).not_to_have_text(before)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_an_entry_has_an_address(page: Page, address: str) -> None:
    page.goto("about:blank")
    page.goto(f"{address}#entry/{GAN}")
    page.locator("dialog h2", has_text="GAN: modes").wait_for()
    page.locator(".close").click()
    expect(page).to_have_url(address)


def test_a_film_of_the_training(page: Page) -> None:
    page.locator(f'.entry[data-entry="{CUBE}"]').click()
    said = page.locator(".film output")
    expect(said).to_have_text("end: epoch 20")
    page.locator(".film input").focus()
    page.keyboard.press("Home")
    expect(said).to_have_text("epoch 1")
    page.locator(".film button").click()
    expect(said).not_to_have_text("epoch 1")
    page.locator(".close").click()
    expect(page.locator("dialog")).to_be_hidden()


def test_the_keyboard_is_enough(page: Page) -> None:
    page.keyboard.press("Tab")
    expect(page.locator(":focus")).to_have_text("Skip to the tables")
    entry = page.locator(f'.entry[data-entry="{GAN}"]')
    entry.focus()
    page.keyboard.press("Enter")
    page.locator(".seeds").wait_for()
    page.keyboard.press("Escape")
    expect(page.locator("dialog")).to_be_hidden()
    expect(entry).to_be_focused()


def test_what_records_say_is_text(page: Page) -> None:
    page.locator(f'.entry[data-entry="{GAN}"]').click()
    expect(page.locator(".seeds")).to_contain_text(f"failed: {EVIL}")


def test_filters(page: Page) -> None:
    rows = page.locator("#table-gaan-2-short-corrected tbody tr:visible")
    expect(rows).to_have_count(6)
    page.locator("#method").select_option("gan")
    expect(rows).to_have_count(4)
    page.locator("#dataset").select_option("cube27")
    expect(rows).to_have_count(0)
    expect(page.locator("#table-aeis-1-short-gaan-nets .part:visible")).to_have_count(1)
    # Claims that look at these models, and no others.
    names = page.locator("#table-claims-short .claim:visible").evaluate_all("all => all.map((one) => one.id)")
    assert names == ["claims-short-gan-ae-modes", "claims-short-gan-ae-prior"]
    page.locator("#dataset").select_option("")
    page.locator("#method").select_option("")
    expect(page.locator("#table-claims-short .claim:visible")).to_have_count(15)


def test_cost_against_quality(page: Page) -> None:
    page.locator("#cost").scroll_into_view_if_needed()
    chart = page.locator('[data-trade="table-gaan-2-short-corrected-0"]')
    expect(chart.locator(".legendtext")).to_have_text(["GAN", "GAAN_2"])


@pytest.mark.parametrize("page", [{}, PHONE], indirect=True, ids=["desktop", "phone"])
def test_a_claim_leads_to_its_models_and_its_demonstration(page: Page) -> None:
    page.locator(".why a", has_text="covers all modes faster").first.click()
    claim = page.locator("#claims-short-gaan-faster")
    expect(claim.locator(".verdict")).to_have_text("✓holds")
    claim.locator("a", has_text="GAAN_1").click()
    page.locator("dialog h2", has_text="GAAN_1: modes").wait_for()
    page.locator("dialog .chart .scatterlayer .trace").first.wait_for(state="attached")
    page.locator(".close").click()
    # A statistic of a curve opens with that curve.
    page.locator("#claims-short-gaan-real a").first.click()
    page.locator("dialog .seeds").wait_for()
    page.locator(".close").click()
    page.locator("#claims-smoke-veegan-bound a").click()
    expect(page).to_have_url(re.compile("#veegan-bound-smoke$"))
    expect(page.locator("#veegan-bound-smoke .verdict")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_print(page: Page) -> None:
    page.emulate_media(media="print", color_scheme="dark")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    expect(page.locator(".bar")).to_be_hidden()
    expect(page.locator("article.table .notes ul").first).to_be_visible()
