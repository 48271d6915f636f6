"""The rules of ours, one per file: what squawk, which sees SQL alone, cannot know."""

from pgmodern.lint.rules import (
    application_import,
    index_not_online,
    missing_downgrade,
    mixed_revision,
    not_offline,
    two_heads,
)

RULES = (
    mixed_revision.RULE,
    index_not_online.RULE,
    application_import.RULE,
    missing_downgrade.RULE,
    two_heads.RULE,
    not_offline.RULE,
)
