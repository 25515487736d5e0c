"""What libpq can do that no JavaScript client does, by psycopg 3: prints what it saw, session by session."""

import json
import sys
import threading

import psycopg

SESSIONS = int(sys.argv[2])
ROUNDS = 15


def pipeline(connection, session):
    """Several statements in flight, one of them failing, with points of synchronization between them."""
    seen = []
    for number in range(ROUNDS):
        with connection.pipeline() as pipe:
            cursors = [connection.execute("SELECT %s::int * %s::int", (session, n), prepare=True) for n in range(5)]
            connection.execute("INSERT INTO piped VALUES (%s, %s)", (session, number))
            pipe.sync()
            seen.append([cursor.fetchone()[0] for cursor in cursors])
        try:
            with connection.transaction(), connection.pipeline():
                connection.execute("INSERT INTO piped VALUES (%s, %s)", (session, 1000 + number))
                connection.execute("SELECT 1 / %s::int", (0,))
                connection.execute("SELECT 'skipped'")
        except psycopg.Error as error:
            seen.append(error.sqlstate)
    seen.append(connection.execute("SELECT n FROM piped WHERE session = %s ORDER BY n", (session,)).fetchall())
    return seen


def copy(connection, session):
    """COPY in text and binary form, both ways, given up half-way, and broken."""
    seen = []
    cursor = connection.cursor()
    for form in ("TEXT", "BINARY"):
        with cursor.copy(f"COPY copied FROM STDIN (FORMAT {form})") as copying:
            copying.set_types(("int4", "int4", "text"))
            for n in range(500):
                copying.write_row((session, n, f"line {n}\t of {form} \\"))
        seen.append(cursor.rowcount)
    try:
        with cursor.copy("COPY copied FROM STDIN") as copying:
            copying.write_row((session, -1, "given up"))
            raise KeyError
    except (KeyError, psycopg.errors.QueryCanceled):  # which of them depends on the version
        seen.append("given up")
    try:
        with cursor.copy("COPY copied FROM STDIN") as copying:
            copying.write(b"not a number\n")
    except psycopg.Error as error:
        seen.append(error.sqlstate)
    query = "COPY (SELECT * FROM copied WHERE session = %s ORDER BY id, line) TO STDOUT"
    with cursor.copy(query, (session,)) as copying:
        seen.append([list(row) for row in copying.rows()])
    with cursor.copy(f"{query} (FORMAT BINARY)", (session,)) as copying:
        seen.append(sum(len(block) for block in copying))
    return seen


def cursors(connection, session):
    """Cursors on the server, nested transactions, and rows one by one."""
    seen = []
    with connection.transaction():
        with connection.cursor(name="scrolling", scrollable=True) as cursor:
            cursor.execute("SELECT n * %s::int FROM generate_series(1, 50) n", (session,))
            seen.append(cursor.fetchmany(7))
            cursor.scroll(30, mode="absolute")
            seen.append(cursor.fetchall())
        try:
            with connection.transaction():
                connection.execute("SELEC")
        except psycopg.Error as error:
            seen.append(error.sqlstate)
        seen.append(connection.execute("SELECT 'still here'").fetchone())
    seen.append(sum(row[0] for row in connection.cursor().stream("SELECT n FROM generate_series(1, 1000) n")))
    return seen


def session(url, number, results):
    try:
        with psycopg.connect(url, autocommit=True) as connection:
            results[number] = [work(connection, number) for work in (pipeline, copy, cursors)]
    except Exception as error:
        results[number] = repr(error)


def main():
    results = [None] * SESSIONS
    threads = [threading.Thread(target=session, args=(sys.argv[1], n, results)) for n in range(SESSIONS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(json.dumps(results))


main()
