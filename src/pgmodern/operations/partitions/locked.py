"""The lock under which tables change places, and what is looked at again once it is had."""

# The waits for the table and for the `number` of others make one timeout: what queues behind the
# first waits for the last too. It ends before anybody looks for a deadlock, so that the transaction
# that PostgreSQL ends for one is never the application's.
LOCK = """
    IF current_setting('transaction_isolation') <> 'read committed' THEN
        RAISE object_not_in_prerequisite_state USING
            MESSAGE = 'This transaction would not see what is committed while it waits for a lock.',
            HINT = 'SET default_transaction_isolation = ''read committed'' first.';
    END IF;
    budget := (
        SELECT least(waited.setting::int, CASE WHEN number > 0 THEN looked.setting::int * 4 / 5 END)
        FROM pg_catalog.pg_settings AS waited, pg_catalog.pg_settings AS looked
        WHERE waited.name = 'lock_timeout' AND looked.name = 'deadlock_timeout');
    PERFORM set_config('lock_timeout',
        greatest(1, budget / CASE WHEN number > 0 THEN 2 ELSE 1 END) || 'ms', true);
    EXECUTE format('LOCK TABLE ONLY %s IN ACCESS EXCLUSIVE MODE', origin);
    PERFORM set_config('lock_timeout',
        greatest(1, budget / 2 / greatest(number, 1)) || 'ms', true);
"""
