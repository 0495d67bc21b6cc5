"""The twelve ways in which the wall was once open, and which test shows on which host that it is not.

A host is a level and a grader: root (full; strong with Python in a private home and no mounts), an ordinary user (strong), and
both without Landlock and without seccomp (basic), made by a filter; and root without another user, who checks a notebook of
their own. All are in `hosts.HOSTS`. Entries that no kernel takes part in, or in which the kernel only sends numbers for the
judge to compare, hang on no layer and are shown once.

| entry | where | tests |
|---|---|---|
| 1 a class is hijacked | once: the judge reads hand-ins, before there is a kernel | batch/test_submissions.py::test_metadata_in_a_hand_in_names_nobody, batch/test_submissions.py::test_yaml_aliases_are_refused_at_once, batch/test_layouts.py::test_everyone_has_a_row_whatever_was_handed_in |
| 2 escape through the warm parent | each host | isolation/test_levels.py::test_what_a_submission_reaches |
| 3 weaker without a word | each host | isolation/test_weaker_hosts.py::test_grading_is_refused_where_a_layer_is_missing, isolation/test_weaker_hosts.py::test_what_runs_all_the_same_is_not_root, isolation/test_entries.py::test_the_result_says_what_was_weaker |
| 4 a neighbor fails | each host | isolation/test_entries.py::test_a_neighbor_keeps_its_points, isolation/test_levels.py::test_what_is_used_beyond_the_budget_is_ended |
| 5 the judge is kept busy | the bounds on each host; what meets them once, as it is computed in the judge from what came over the wire | isolation/test_entries.py::test_the_judge_is_bounded, judging/test_engine_budget.py::test_a_loop_in_the_judge_costs_one_property, judging/test_engine_budget.py::test_too_much_memory_for_a_reply_is_the_submissions_fault, submission/test_planning_any_code.py::test_the_time_of_planning_grows_with_the_size_alone |
| 6 failures that wait for a person | what a kernel raises on each host; what the judge stumbles over once, as there is no kernel in it | isolation/test_entries.py::test_a_failure_on_demand_is_a_failure, judging/test_engine_budget.py::test_an_exception_after_a_reply_is_the_submissions_fault, judging/test_engine_budget.py::test_a_tensor_of_six_axes_is_shown |
| 7 what the watchdog does not see | each host | isolation/test_levels.py::test_what_is_used_beyond_the_budget_is_ended |
| 8 leaks beside the walls | each host | isolation/test_levels.py::test_what_a_submission_reaches, isolation/test_levels.py::test_the_table_says_no_only_where_nothing_gets_through |
| 9 system calls | each host; the list itself once | isolation/test_levels.py::test_what_a_submission_reaches, isolation/test_refusals.py::test_refused_system_calls, isolation/test_hosts.py::test_nothing_is_allowed_that_docker_denies |
| 10 a table in place of a model | once: the judge changes the images, renumbers the classes and counts; no kernel holds labels | homework3/training/test_vit.py::test_a_table_of_answers_fails, homework3/training/test_vit.py::test_a_table_that_withstands_noise_is_pending, homework3/training/test_vit.py::test_more_than_is_plausible_is_pending, homework3/training/test_training.py::test_the_kernel_has_neither_labels_nor_files |
| 11 answers by property | names on each host; order and reports once, as the judge makes and weighs them | isolation/test_entries.py::test_no_name_of_a_property_reaches_a_kernel, judging/test_mixing.py::test_the_cases_of_several_properties_are_mixed, hostile/test_reports.py::test_what_a_submission_reports_of_itself_gains_nothing, hostile/test_reports.py::test_the_mask_that_stand_ins_are_said_to_get_has_to_show_in_the_output |
| 12 imports of provided code | once: the plan holds them, whatever runs it | submission/test_provided_code.py::test_provided_code_comes_with_the_imports_that_it_uses, homework3/training/test_training.py::test_provided_code_brings_its_own_imports |

The whole hostile corpus on these hosts is slow: hostile/test_settings.py::test_where_layers_are_missing.
"""  # noqa: E501  (rows of a table)

from __future__ import annotations

import re

import pytest

from tests.isolation.hosts import HOSTS, NAMES, ROOT, needs_all_layers, report

pytestmark = pytest.mark.long

POINTS = 2.0
"""Of the loss."""

each_host = pytest.mark.parametrize("name", NAMES)


@needs_all_layers
@each_host
def test_a_right_notebook_has_its_points(name: str) -> None:
    right = report(name)["graded"]["right"]
    assert (right["points"], right["status"], right["error"]) == (POINTS, ["passed"], None)


@needs_all_layers
@each_host
def test_the_result_says_what_was_weaker(name: str) -> None:
    host, right = HOSTS[name], report(name)["graded"]["right"]
    assert {"landlock", "seccomp"} & set(host.lacking) == {"landlock", "seccomp"} & set(right["weaker"])
    assert ("uid" in right["weaker"]) == (host.user or host.own)
    said = [warning for warning in right["warnings"] if "below strong" in warning]
    assert bool(said) == (host.level == "basic")
    for layer in {"landlock", "seccomp"} & set(host.lacking):
        assert f"{layer} is missing" in said[0].lower()


@needs_all_layers
@each_host
def test_a_neighbor_keeps_its_points(name: str) -> None:
    """A kernel beside it holds as many descriptors in flight, pipes and processes as it may."""
    found = report(name)["graded"]
    assert found["hog"] == {"stopped_for": None, "is_alive": True}
    assert found["right, beside a hog"] == found["right"]


@needs_all_layers
@each_host
def test_the_judge_is_bounded(name: str) -> None:
    """By a clock and by memory, which it has back afterwards."""
    assert report(name)["bounded"] == {"clock": True, "memory": True}


@needs_all_layers
@each_host
def test_a_failure_on_demand_is_a_failure(name: str) -> None:
    """The loss raises by turns what the grader takes for the machine's fault where it raises it itself."""
    found = report(name)["graded"]["raises what the grader may raise"]
    assert (found["points"], found["status"], found["error"]) == (0, ["failed"], None)


@needs_all_layers
@each_host
def test_no_name_of_a_property_reaches_a_kernel(name: str) -> None:
    found = report(name)["graded"]["looks for names"]
    assert (found["points"], found["is_breached"]) == (POINTS, False)


def test_the_table_names_tests_that_there_are() -> None:
    rows = [line for line in (__doc__ or "").splitlines() if re.match(r"\| \d+ ", line)]
    assert [int(row.split()[1]) for row in rows] == list(range(1, 13))
    for row in rows:
        named = re.findall(r"([\w/]+\.py)::(\w+)", row)
        assert named, row
        for file, test in named:
            assert f"def {test}(" in (ROOT / "tests" / file).read_text(encoding="utf-8"), (file, test)
        by_host = [file for file, _ in named if file in ("isolation/test_entries.py", "isolation/test_levels.py")]
        assert ("each host" in row) == bool(by_host)
