"""What SQLAlchemy's tests of a dialect say of two engines."""

from tools.dialect_suite import Compared, outcomes

REPORT = """<testsuites><testsuite>
<testcase classname="A" name="passes"/>
<testcase classname="A" name="fails"><failure message="no">assert 0</failure></testcase>
<testcase classname="B" name="is_skipped"><skipped/></testcase>
<testcase classname="B" name="cannot_begin"><error/></testcase>
</testsuite></testsuites>"""


def test_a_report_tells_what_became_of_each_test() -> None:
    assert outcomes(REPORT) == {
        "A::passes": "passed",
        "A::fails": "failure",
        "B::is_skipped": "skipped",
        "B::cannot_begin": "error",
    }


def test_worse_is_what_passes_over_their_engine_alone() -> None:
    stock = {
        "same": "passed",
        "fails": "passed",
        "skipped": "passed",
        "gone": "passed",
        "b": "error",
    }
    ours = {"same": "passed", "fails": "failure", "skipped": "skipped", "b": "passed"}
    assert Compared("psycopg", stock, ours).worse == ["fails", "gone", "skipped"]
