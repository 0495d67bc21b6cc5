"""The ``grader audit`` commands: the corpus, and the mutants that are made from the reference."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from grader.audit.corpus import Case
    from grader.audit.run import Verdict

app = typer.Typer(invoke_without_command=True)
_MOST_NAMES = 20


@app.callback()
def audit(
    context: typer.Context,
    part: Annotated[str | None, typer.Option(help="Only the entries of one part, by its item.")] = None,
    only: Annotated[
        list[str] | None, typer.Option(metavar="ID", help="Only the entry with this id; may be repeated.")
    ] = None,
    jobs: Annotated[
        int | None, typer.Option(help="Entries at a time; by default one a core.", min=1)
    ] = None,
    fast: Annotated[
        bool,
        typer.Option(
            "--fast", help="Without notebooks, kernels and isolation: only for a corpus of your own."
        ),
    ] = False,
    cold: Annotated[
        bool, typer.Option("--cold", help="Start each kernel on its own instead of forking a warm one.")
    ] = False,
    seeds: Annotated[int, typer.Option(help="By how many seeds to judge each entry.", min=1)] = 1,
    json_file: Annotated[
        Path | None,
        typer.Option("--json", metavar="FILE", help="Write all verdicts to FILE as JSON."),
    ] = None,
) -> None:
    """Check the rubric against a corpus of wrong and right answers.

    The corpus is a file for each part in the homework's `corpus` folder. Exit status 1: at least one verdict is wrong.
    """
    if context.invoked_subcommand is not None:
        return
    from grader.audit import corpus, matrix, run
    from grader.files.atomic import write_atomically
    from grader.report.console import output
    from grader.scoring.rubric import load_rubric

    criteria = [criterion.id for item in load_rubric().automatic for criterion in item.criteria]
    cases = [
        case
        for case in corpus.load_all(criteria)
        if (part is None or case.part == part) and (not only or case.entry.id in only)
    ]
    if not cases:
        raise typer.BadParameter("the corpus has no such entry")
    with _counted(len(cases) * seeds) as count:
        judged = run.judge_all(cases, run.Mode(fast, cold=cold, seed_count=seeds), jobs=jobs, done=count)
    covered = [] if only else criteria
    found = matrix.examine(judged, [name for name in covered if part is None or name.startswith(part + ".")])
    console = output()
    matrix.print_matrix(judged, criteria, console)
    matrix.print_findings(found, judged, console)
    if json_file is not None:
        write_atomically(json_file, matrix.to_json(judged, found))
    if found.wrong:
        raise typer.Exit(1)


@app.command("generate")
def generate(
    part: Annotated[str | None, typer.Option(help="Only the mutants of one part, by its item.")] = None,
    only: Annotated[
        list[str] | None, typer.Option(metavar="ID", help="Only the mutant with this id; may be repeated.")
    ] = None,
    limit: Annotated[
        int | None, typer.Option(help="At most so many mutants, always the same ones.", min=1)
    ] = None,
    list_only: Annotated[bool, typer.Option("--list", help="Show the mutants without judging them.")] = False,
    jobs: Annotated[
        int | None, typer.Option(help="Mutants at a time; by default one a core.", min=1)
    ] = None,
    fast: Annotated[bool, typer.Option("--fast", help="Without notebooks, kernels and isolation.")] = False,
    quick: Annotated[
        bool,
        typer.Option("--quick", help="Fast, and by the mutant's own part first: only what survives it is judged by all."),
    ] = False,
    json_file: Annotated[
        Path | None, typer.Option("--json", metavar="FILE", help="Write every mutant and its verdict to FILE.")
    ] = None,
) -> None:
    """Make mutants from the reference's answers mechanically, judge them, and show which lose no points.

    A survivor is as right as the reference, or shows that a property is missing: `grader audit judge` writes down which. Exit
    status 1: at least one survivor is not judged yet.
    """
    from grader.audit import mechanical, run
    from grader.files.atomic import write_atomically
    from grader.report.console import output
    from grader.scoring.rubric import load_rubric

    console = output()
    chosen = [mutant for mutant in mechanical.mutants(part) if not only or mutant.mutation.id in only]
    chosen = mechanical.sample(chosen, limit)
    if not chosen:
        raise typer.BadParameter("no such mutant; --list shows all of them")
    if list_only:
        mechanical.print_mutants(chosen, console)
        return
    reviewed = mechanical.load_reviewed()
    criteria = [criterion.id for item in load_rubric().automatic for criterion in item.criteria]
    cases = [mutant.case(criteria) for mutant in chosen]
    with _counted(len(cases)) as count:
        judged = run.judge_all(cases, run.Mode(fast or quick, shrink=False, own_part=quick), jobs=jobs, done=count)
    verdicts = {case.name: verdict for case, verdict in judged}
    if quick and (kept := [case for case, verdict in judged if not verdict.criteria]):
        with _counted(len(kept)) as count:
            judged = run.judge_all(kept, run.Mode(fast=True, shrink=False), jobs=jobs, done=count)
        verdicts |= {case.name: verdict for case, verdict in judged}
    swept = [
        (mutant, verdicts[mutant.name], mechanical.outcome(mutant, verdicts[mutant.name], reviewed))
        for mutant in chosen
    ]
    mechanical.print_sweep(swept, console)
    if json_file is not None:
        write_atomically(json_file, mechanical.to_json(swept))
    if mechanical.print_what_to_do(swept, console):
        raise typer.Exit(1)


@app.command("judge")
def judge(
    mutant: Annotated[str, typer.Argument(help="A survivor of `grader audit generate`, such as 2a/m1f3b0c7d.")],
    equivalent: Annotated[
        str, typer.Option(metavar="WHY", help="It is as right as the reference, for this reason.")
    ] = "",
    missed: Annotated[str, typer.Option(metavar="WHAT", help="It is wrong: what is wrong, in words for graders.")] = "",
    loses: Annotated[
        list[str] | None,
        typer.Option(metavar="CRITERION", help="What a missed fault has to lose; may be repeated."),
    ] = None,
) -> None:
    """Write down what a survivor is: as right as the reference, or a fault that the properties miss.

    The first goes into the homework's `equivalent.yaml`. The second becomes an entry of the corpus, by which `grader audit`
    fails until a property finds the fault.
    """
    from grader.audit import survivors
    from grader.homework import load_homework
    from grader.scoring.rubric import load_rubric

    if bool(equivalent) == bool(missed):
        raise typer.BadParameter("give either --equivalent or --missed")
    if equivalent and loses:
        raise typer.BadParameter("--loses belongs to --missed")
    found = survivors.mutant_named(mutant)
    if equivalent:
        print(f"Added {found.name} to {survivors.keep_equivalent(found, equivalent, load_homework())}.")
        return
    criteria = [criterion.id for item in load_rubric().automatic for criterion in item.criteria]
    case, path = survivors.keep_missed(found, missed, loses or (), criteria, load_homework())
    print(f"Added {case.name} to {path}: has to lose {', '.join(case.entry.loses)}.")
    print(f"Write a property that finds it, until `grader audit --only {case.entry.id}` passes.")


@app.command("fingerprints")
def fingerprints(
    part: Annotated[str | None, typer.Option(help="Update only one part, by its item.")] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Judge nothing; exit status 1 if the table is out of date.")
    ] = False,
    evaluate: Annotated[
        bool, typer.Option("--evaluate", help="Judge nothing; show how well the table names causes.")
    ] = False,
    again: Annotated[
        int | None,
        typer.Option(metavar="N", help="Judge N wrong answers by another seed, and show how they are named.", min=1),
    ] = None,
) -> None:
    """Write down what each wrong answer of the corpus fails by, so that submissions that fail alike get a likely cause.

    Only what has changed is judged, without isolation: read a new entry before you run this. Run it again to resume.
    """
    from grader.audit import fingerprints as made
    from grader.audit import naming
    from grader.errors import UsageError
    from grader.files.atomic import write_atomically
    from grader.homework import load_homework
    from grader.insight.fingerprints import Fingerprints, load_fingerprints, to_json
    from grader.insight.holdout import calibrated
    from grader.report.console import output
    from grader.scoring.rubric import load_rubric

    homework = load_homework()
    criteria = [criterion.id for item in load_rubric().automatic for criterion in item.criteria]
    table = load_fingerprints(homework.fingerprints)
    if evaluate:
        naming.print_naming(table, output())
        return
    those = made.wanted(homework, criteria)
    if part is not None and part not in {case.part for case in those.faults}:
        raise UsageError(f"{part}: the corpus has no such part")
    if again is not None:
        with _counted(again) as count:
            faults = [fault for case, fault in made.judged_again(those, again, homework) if count(case) is None]
        naming.print_again(table, faults, output())
        return
    late = [case for case in made.outdated(table, those.all, homework) if part is None or case.part == part]
    if check:
        print(f"{len(those.all)} wrong answers; out of date: {len(late)}")
        for case in late[:_MOST_NAMES]:
            print(f"  {case.name}")
        if len(late) > _MOST_NAMES:
            print(f"  and {len(late) - _MOST_NAMES} more")
        raise typer.Exit(1 if late else 0)

    def save(now: Fingerprints) -> None:
        nonlocal table
        table = now
        write_atomically(homework.fingerprints, to_json(now))

    with _counted(len(late)) as count:
        for case in made.update(table, those, homework, save, part=part):
            count(case)
    save(calibrated(table))
    naming.print_naming(table, output())


@app.command("add")
def add(
    submission: Annotated[Path, typer.Argument(help="A notebook, or a folder or an archive with one.")],
    item: Annotated[str, typer.Argument(help="The item whose class is wrong.")],
    cause: Annotated[str, typer.Option(help="What is wrong, in words for graders, or the id of a cause of the corpus.")],
    name: Annotated[str, typer.Option("--id", help="The entry's id; by default made of the cause.")] = "",
) -> None:
    """Turn what a submission did wrong in one item into an entry of the corpus, so that it is named from now on.

    The entry is judged in a confined kernel. Read it before you run an audit with --fast, which has no isolation.
    """
    from grader.audit import adding
    from grader.homework import load_homework

    added = adding.add(submission, item, cause, load_homework(), name)
    print(f"Added {added.case.name} to {added.path}: loses {', '.join(added.loses)}.")
    print("Read its code, then run `grader audit --only " + added.case.entry.id + "` and commit the files.")


@contextmanager
def _counted(total: int) -> Iterator[Callable[[Verdict | Case], None]]:
    """A progress bar that one verdict after the other fills."""
    from grader.report.progress import shown

    with shown("audit") as progress:
        finished = 0

        def count(verdict: Verdict | Case) -> None:
            nonlocal finished
            finished += 1
            progress(verdict.name, finished, total)

        yield count
