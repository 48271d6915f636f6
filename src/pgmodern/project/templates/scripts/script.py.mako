<%! from pgmodern.project.script import docstring, imported, literal %>\
<% needed = imported(imports, upgrades, downgrades) %>\
${docstring(message)}
% if needed:

${needed}
% endif

revision = ${literal(up_revision)}
down_revision = ${literal(down_revision)}
branch_labels = ${literal(branch_labels)}
depends_on = ${literal(depends_on)}


def upgrade() -> None:
    ${upgrades or "pass"}


def downgrade() -> None:
    ${downgrades or "pass"}
