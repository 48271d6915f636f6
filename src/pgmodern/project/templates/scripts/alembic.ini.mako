# The database is what DATABASE_URL or POSTGRES_* name (environment, then .env), else the embedded server.
[alembic]
script_location = ${script_location}
# Where models.py is, from wherever alembic is run.
prepend_sys_path = %(here)s
path_separator = os
# Files are in the order in which they were made.
file_template = %%(year)d%%(month).2d%%(day).2d%%(hour).2d%%(minute).2d%%(second).2d_%%(rev)s_%%(slug)s

[loggers]
keys = root, alembic, pgmodern

[handlers]
keys = console

[formatters]
keys = plain

[logger_root]
level = WARNING
handlers = console

[logger_alembic]
level = INFO
handlers =
qualname = alembic

[logger_pgmodern]
level = INFO
handlers =
qualname = pgmodern

[handler_console]
class = StreamHandler
args = (sys.stderr,)
formatter = plain

[formatter_plain]
format = %(levelname)-5.5s [%(name)s] %(message)s
