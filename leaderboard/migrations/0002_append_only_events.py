"""Events are append-only: the database itself refuses to change or delete one. Also the cache table."""

from typing import Any

from django.core.management import call_command
from django.db import migrations

REFUSE = """
CREATE FUNCTION refuse_event_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'events are append-only';
END $$;
CREATE TRIGGER events_are_append_only BEFORE UPDATE OR DELETE ON leaderboard_event
    FOR EACH ROW EXECUTE FUNCTION refuse_event_change();
"""
ALLOW = """
DROP TRIGGER events_are_append_only ON leaderboard_event;
DROP FUNCTION refuse_event_change();
"""


def create_cache_table(apps: Any, schema_editor: Any) -> None:
    call_command("createcachetable", database=schema_editor.connection.alias, verbosity=0)


class Migration(migrations.Migration):
    dependencies = [("leaderboard", "0001_initial")]
    operations = [
        migrations.RunSQL(REFUSE, ALLOW),
        migrations.RunPython(create_cache_table, migrations.RunPython.noop),
    ]
