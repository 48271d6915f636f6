"""What is read of a report: what passed, and what its tests say that they proved."""

from pathlib import Path

from tools import reports

REPORT = """<?xml version="1.0" encoding="utf-8"?>
<testsuites><testsuite name="pytest">
<testcase classname="tests.autogenerate.test_changes" name="test_change[check: added]" time="1"/>
<testcase classname="tests.autogenerate.test_changes" name="test_change[check: dropped]" time="1">
  <failure message="no">why</failure>
</testcase>
<testcase classname="tests.autogenerate.test_models" name="test_random_models" time="30">
  <properties><property name="random models" value="50"/></properties>
</testcase>
<testcase classname="tests.operations.test_index" name="test_killed[a]" time="2">
  <properties>
    <property name="survived" value="create_index_online, btree: SIGKILL: 16 of 16"/>
    <property name="survived" value="create_index_online, btree: terminate: 8 of 8"/>
  </properties>
</testcase>
<testcase classname="tests.operations.test_index" name="test_killed[b]" time="2"/>
<testcase classname="tests.operations.test_index" name="test_killed[c]" time="0">
  <skipped message="not here">why</skipped>
  <properties><property name="survived" value="skipped: SIGKILL: 1 of 1"/></properties>
</testcase>
<testcase classname="tests.operations.test_index" name="test_killed[d]" time="0">
  <error message="no">why</error>
</testcase>
</testsuite></testsuites>
"""


def test_only_what_passed_proves_anything(tmp_path: Path) -> None:
    report = tmp_path / "report.xml"
    report.write_text(REPORT)
    proved = reports.read(report)
    assert proved.survived == {
        "create_index_online, btree: SIGKILL": (16, 16),
        "create_index_online, btree: terminate": (8, 8),
    }
    assert proved.changes == {"check: added"}
    assert proved.random_models == 50
    assert proved.passed["tests.operations.test_index::test_killed"] == 2
    assert proved.passed["tests.autogenerate.test_changes::test_change"] == 1
    twice = reports.together([proved, proved])
    assert twice.passed["tests.operations.test_index::test_killed"] == 4
    assert (twice.survived, twice.changes) == (proved.survived, proved.changes)
    assert twice.random_models == 100
    assert reports.together([]).passed.total() == 0
