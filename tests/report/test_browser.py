# SPDX-License-Identifier: MIT
"""The committed page in a real browser, on a wide and on a narrow screen: a cell is clicked, read, left, and found again."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from conformance.report import read_report_inputs
from conformance.report.screenshot import BROWSER_OPTIONS, find_browser, take_screenshot

selenium = pytest.importorskip("selenium.webdriver", reason="selenium is not installed")
from selenium.webdriver.chrome.service import Service  # noqa: E402
from selenium.webdriver.common.by import By  # noqa: E402
from selenium.webdriver.common.keys import Keys  # noqa: E402
from selenium.webdriver.support.ui import WebDriverWait  # noqa: E402

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(
        find_browser() is None or shutil.which("chromedriver") is None,
        reason="no chromium or chromedriver on the path; Debian: apt-get install chromium chromium-driver",
    ),
]

COMMITTED = Path(__file__).resolve().parents[2] / "docs" / "report"
PAGE = (COMMITTED / "index.html").as_uri()
SCREENS = {"wide": (1600, 1000), "narrow": (390, 844)}
CELL = "OVF-1/1.2.4@cp310"


@pytest.fixture(scope="module", params=list(SCREENS))
def browser(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    width, height = SCREENS[request.param]
    options = selenium.ChromeOptions()
    options.binary_location = find_browser()
    for option in (*BROWSER_OPTIONS, f"--user-data-dir={tmp_path_factory.mktemp('profile')}"):
        options.add_argument(option)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    driver = selenium.Chrome(options=options, service=Service(shutil.which("chromedriver")))
    # A window cannot be as narrow as a telephone, its viewport can.
    driver.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False},
    )
    yield driver
    driver.quit()


@pytest.fixture
def page(browser: Any) -> Any:
    browser.get("about:blank")
    browser.get(PAGE)
    return browser


def _cell(page: Any, anchor: str) -> Any:
    found = page.find_element(By.CSS_SELECTOR, f'#grid a.cell[href="#{anchor}"]')
    page.execute_script("arguments[0].scrollIntoView({block: 'center', inline: 'center'})", found)
    return found


def _dialog(page: Any) -> Any:
    return page.find_element(By.ID, "evidence")


def _open(page: Any) -> bool:
    return bool(page.execute_script("return document.getElementById('evidence').open"))


def _press(page: Any, key: str) -> None:
    page.switch_to.active_element.send_keys(key)


def test_a_clicked_cell_shows_its_evidence_and_escape_leads_back(page: Any) -> None:
    record = next(
        item for item in read_report_inputs(COMMITTED).results.records if f"{item.requirement}/{item.wheel}" == CELL
    )
    assert not _open(page)
    _cell(page, CELL).click()
    assert _open(page)
    text = _dialog(page).text
    for shown in (
        "OVF-1 on 1.2.4@cp310",
        record.sha256,
        record.evidence.command,
        record.message,
        *record.evidence.observed,
    ):
        assert shown in text
    assert page.current_url.endswith(f"#{CELL}")
    _press(page, Keys.ESCAPE)
    WebDriverWait(page, 5).until(lambda driver: not _open(driver))
    assert page.switch_to.active_element.get_attribute("href").endswith(f"#{CELL}")


def test_arrow_keys_move_in_the_grid_and_enter_opens(page: Any) -> None:
    page.execute_script("arguments[0].focus()", _cell(page, "OVF-1/1.2.3@cp310"))
    _press(page, Keys.ARROW_RIGHT)
    assert page.switch_to.active_element.get_attribute("href").endswith("#OVF-1/1.2.3@cp312")
    _press(page, Keys.ARROW_DOWN)
    assert page.switch_to.active_element.get_attribute("href").endswith("#OVF-2/1.2.3@cp312")
    _press(page, Keys.ENTER)
    assert "OVF-2 on 1.2.3@cp312" in _dialog(page).text
    _press(page, Keys.ARROW_RIGHT)
    assert "OVF-2 on 1.2.3.post1@cp310" in _dialog(page).text


def test_a_deep_link_opens_its_cell_of_a_stable_wheel_and_of_a_nightly(page: Any) -> None:
    nightly = next(wheel for wheel in read_report_inputs(COMMITTED).nightlies if "20260810" in wheel.version)
    for anchor in (CELL, f"OVF-1/{nightly.label}"):
        page.get("about:blank")
        page.get(f"{PAGE}#{anchor}")
        assert _open(page)
        assert anchor.replace("/", " on ") in _dialog(page).text
    page.execute_script("location.hash = arguments[0]", f"#{CELL}")
    WebDriverWait(page, 5).until(lambda driver: "OVF-1 on 1.2.4@cp310" in _dialog(driver).text)


def test_the_command_is_copied(page: Any) -> None:
    _cell(page, CELL).click()
    button = _dialog(page).find_element(By.CSS_SELECTOR, ".copy")
    button.click()
    WebDriverWait(page, 5).until(lambda _: button.text == "Copied")


def test_nothing_but_the_scrollers_is_wider_than_the_screen(page: Any) -> None:
    def overflow() -> int:
        return int(page.execute_script("return document.documentElement.scrollWidth - innerWidth"))

    assert overflow() <= 0
    page.execute_script("for (const item of document.querySelectorAll('details')) item.open = true")
    WebDriverWait(page, 10).until(lambda driver: driver.find_elements(By.CSS_SELECTOR, ".every table"))
    assert overflow() <= 0
    wide = page.execute_script(
        "return [...document.querySelectorAll('body *')].filter((item) => !item.closest('.scroller, .symbols, dialog') &&"
        " item.getBoundingClientRect().right > innerWidth + 1).map((item) => item.outerHTML.slice(0, 120))"
    )
    assert wide == []
    _cell(page, CELL).click()
    assert (
        page.execute_script("const d = document.getElementById('evidence'); return d.scrollWidth - d.clientWidth") <= 0
    )


def test_filters_leave_what_was_asked_for(page: Any) -> None:
    def rows() -> list[str]:
        found = page.find_elements(By.CSS_SELECTOR, "#grid tr[data-id]")
        return [row.get_attribute("data-id") for row in found if row.is_displayed()]

    every = rows()
    page.find_element(By.NAME, "text").send_keys("intranodell asserts")
    assert rows() == ["OVF-2"]
    page.find_element(By.NAME, "text").clear()
    page.find_element(By.NAME, "text").send_keys(" ")
    page.find_element(By.NAME, "changes").click()
    assert "OVF-1" in rows()
    assert "CFG-1" not in rows()
    page.find_element(By.NAME, "changes").click()
    assert rows() == every
    page.find_element(By.CSS_SELECTOR, "select[name=python] option:nth-child(2)").click()
    heads = page.find_elements(By.CSS_SELECTOR, "#grid .pythons th")
    assert {head.text.split()[0] for head in heads if head.is_displayed()} == {"cp310"}
    page.get(f"{page.current_url.split('?')[0]}?group=OVF&level=MUST&python=none")
    assert {name.split("-")[0] for name in rows()} == {"OVF"}
    assert page.find_element(By.NAME, "python").get_attribute("value") == ""


def test_two_wheels_are_compared_both_ways(page: Any) -> None:
    page.get("about:blank")
    page.get(f"{PAGE}#compare/1.2.2@cp310/1.2.3@cp310")
    compared = page.find_element(By.ID, "compared")
    assert "overflow assertion removed" in compared.text
    assert "intranode_dispatch_default_launch" in compared.text
    assert "OVF-1" in compared.text
    page.execute_script("arguments[0].click()", page.find_element(By.NAME, "swap"))
    assert "1.2.3@cp310 → 1.2.2@cp310" in compared.text
    assert "overflow assertion added" in compared.text


def test_the_browser_has_nothing_to_complain_about(page: Any) -> None:
    _cell(page, CELL).click()
    assert [entry["message"] for entry in page.get_log("browser")] == []


def test_the_page_can_be_read_without_scripts(browser: Any) -> None:
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        browser.get("about:blank")
        browser.get(f"{PAGE}#{CELL}")
        shown = browser.find_element(By.ID, "OVF-1")
        assert "no overflow assertion is reachable" in shown.text
        assert browser.find_element(By.CSS_SELECTOR, "#grid table").is_displayed()
        assert not browser.find_element(By.CSS_SELECTOR, "#grid form").is_displayed()
    finally:
        browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})


def test_a_picture_for_the_readme(tmp_path: Path) -> None:
    size = take_screenshot(COMMITTED / "index.html", tmp_path / "grid.png")
    assert (tmp_path / "grid.png").read_bytes().startswith(b"\x89PNG")
    assert 20_000 < size <= 200 * 1024
