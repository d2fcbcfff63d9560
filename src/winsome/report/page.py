"""Writes the report of a study, or of a folder of studies: `report.html`, and `figures/` in each study's folder."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from winsome import figures
from winsome.errors import WinsomeError
from winsome.evidence.results import FILE_NAME, Results, read
from winsome.figures.theme import INK, MUTED, ON_DARK, PALETTE, PAPER, RULE
from winsome.files import write_whole
from winsome.report.markup import breakable, linked, typeset
from winsome.report.overview import Overview, studies_overview, sweep_overview
from winsome.report.recipes import recipe_files, recipe_sections
from winsome.report.sections import section
from winsome.sweep.run import FILE_NAME as SWEEP

_HERE = Path(__file__).parent
_ROLES = {"ink": INK, "muted": MUTED, "rule": RULE, "paper": PAPER}


def write(folder: Path | str) -> Path:
    """Write `report.html` into `folder`, and each study's figures as SVG and PDF into its own `figures/`.

    `folder` is a study's, or one that holds studies at any depth: then each gets a page of its own, and one page compares
    them all. A damaged study among several is named on that page.

    Args:
        folder: of a study, a sweep, recipes, or any that holds such folders.

    Raises:
        WinsomeError: there is no study in it, the only one is damaged, or the disk fails.
    """
    folder = Path(folder)
    if (folder / SWEEP).is_file():
        _write_each(folder.glob(f"*/{FILE_NAME}"))
        return write_overview(folder)
    if not folder.is_dir():
        raise WinsomeError(f"{folder} is not a folder; give the folder of a finished `winsome study`")
    single = (folder / FILE_NAME).is_file()
    if not single and recipe_files(folder):
        _write_each(folder.rglob(FILE_NAME))
        return write_recipes(folder)
    studies, unread = ({folder: read(folder)}, list[str]()) if single else _find(folder)
    if len(studies) == 1 and not unread:
        ((place, results),) = studies.items()
        return _write_study(folder, place, results)
    for place, results in studies.items():
        _write_study(place, place, results)
    named = {place.relative_to(folder).as_posix(): results for place, results in studies.items()}
    return _write_overview(folder, studies_overview(named, unread))


def write_recipes(folder: Path) -> Path:
    """Write the `report.html` of a folder of recipes: their figures, tables and verdicts, with links to studies' pages.

    Raises:
        WinsomeError: none of its recipes can be read.
    """
    sections, unread = recipe_sections(folder)
    path = folder / "report.html"
    title = sections[0].title if len(sections) == 1 else f"{len(sections)} figures and tables, reproduced"
    others = _other_studies(folder)
    write_whole(path, render_template("recipes.html.jinja", title, recipes=sections, unread=unread, others=others).encode())
    return path


def write_overview(folder: Path) -> Path:
    """Write a sweep's `report.html`: all its studies in one table, with links to their own pages, and what failed.

    Raises:
        WinsomeError: its `sweep.json` is damaged or of another format.
    """
    return _write_overview(folder, sweep_overview(folder))


def _write_overview(folder: Path, overview: Overview) -> Path:
    path = folder / "report.html"
    write_whole(path, render_template("overview.html.jinja", overview.title, page=overview).encode())
    return path


def _write_study(folder: Path, place: Path, results: Results) -> Path:
    """The page of a study, written into `folder`, and its figures, into its own folder `place`."""
    _save_figures(place, results)
    path = folder / "report.html"
    study = section(results, "" if place == folder else f"{place.relative_to(folder).as_posix()}/")
    write_whole(path, render_template("report.html.jinja", study.title, study=study).encode())
    return path


def _write_each(results: Iterable[Path]) -> None:
    """Write the page of every study that can be read; the page over all of them names the others."""
    for path in sorted(results):
        try:
            read(path.parent)
        except WinsomeError:
            continue
        write(path.parent)


def _other_studies(folder: Path) -> list[str]:
    """The studies below a folder that belong to no recipe and have a page, as seen from the folder."""
    recipes = {path.parent for path in recipe_files(folder)}
    studies = (path.parent for path in sorted(folder.rglob(FILE_NAME)) if not recipes & {*path.parents})
    return [study.relative_to(folder).as_posix() for study in studies if (study / "report.html").is_file()]


def render_template(name: str, title: str, **content: object) -> str:
    """A page in the one style of all reports."""
    environment = Environment(
        loader=FileSystemLoader(_HERE), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    environment.filters |= {"typeset": typeset, "breakable": breakable, "linked": linked}
    light = {**_ROLES, **{name: on_light for name, (on_light, _) in PALETTE.items()}}
    dark = {
        **{role: ON_DARK[colour] for role, colour in _ROLES.items()},
        **{name: on_dark for name, (_, on_dark) in PALETTE.items()},
    }
    style = Markup((_HERE / "style.css").read_text(encoding="utf-8"))
    return environment.get_template(name).render(light=light, dark=dark, style=style, title=title, **content)


def _find(folder: Path) -> tuple[dict[Path, Results], list[str]]:
    studies: dict[Path, Results] = {}
    unread = []
    for path in sorted(folder.rglob(FILE_NAME)):
        try:
            studies[path.parent] = read(path.parent)
        except WinsomeError as error:
            unread.append(str(error))
    if unread and not studies:
        raise WinsomeError(unread[0])
    if not studies:
        raise WinsomeError(
            f"no {FILE_NAME} in {folder} or any folder below it; give the folder of a finished `winsome study`, "
            "or one that holds several"
        )
    return studies, unread


def _save_figures(folder: Path, results: Results) -> None:
    target = folder / "figures"
    try:
        target.mkdir(exist_ok=True)
        for plot in figures.study_plots(results):
            figures.save(plot.draw(), target / plot.name)
    except OSError as error:
        raise WinsomeError(
            f"cannot write figures to {target}: {error.strerror or error}; free space or make the folder writable, "
            "then run `winsome report` again"
        ) from error
