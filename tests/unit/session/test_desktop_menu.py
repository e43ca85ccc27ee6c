"""What a desktop's menu has, and what becomes of text in it."""

import os
import stat

import pytest

from spawners.session import desktop, desktopchild, desktopmenu, exits, start


def program(folder, name):
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return path


def entry(folder, name, **keys):
    folder.mkdir(parents=True, exist_ok=True)
    rows = "".join(f"{key}={value}\n" for key, value in {"Type": "Application", **keys}.items())
    (folder / f"{name}.desktop").write_text(
        f"# a comment\n[Desktop Entry]\n{rows}[Desktop Action x]\nName=Not this\n"
    )


@pytest.fixture
def prefix(tmp_path):
    prefix = tmp_path / "env"
    for name in ("silx", "pymca", "tool"):
        program(prefix / "bin", name)
    return prefix


def write(tmp_path, prefix, data=(), **environment):
    folder = tmp_path / "private"
    folder.mkdir(exist_ok=True)
    path = f"{prefix}/bin:/usr/bin:/bin"
    variables = desktopmenu.write(folder, {"PATH": path, **environment}, prefix, list(data))
    return variables, (folder / "icewm" / "menu").read_text().splitlines()


def titles(rows):
    return [row.split('"')[1] for row in rows if row.startswith("prog")]


def test_the_menu_has_what_is_there(tmp_path, prefix):
    data = [{"title": "RAW_DATA", "path": "/data/raw"}]
    variables, rows = write(tmp_path, prefix, data, OMP_NUM_THREADS="3")
    assert titles(rows) == ["Data", "silx view", "PyMca", "Terminal"]
    assert variables["LP_NUM_THREADS"] == "3"
    assert (tmp_path / "private/run").stat().st_mode & 0o777 == 0o700
    (prefix / "bin/pymca").unlink()
    assert titles(write(tmp_path, prefix, data)[1]) == ["Data", "silx view", "Terminal"]


def test_an_environment_and_modules_bring_their_programs(tmp_path, prefix):
    ours, theirs = prefix / "share/applications", tmp_path / "module/applications"
    entry(ours, "a", Name="A tool", Exec="tool --open %F --percent 5%%")
    entry(ours, "b", Name="Console tool", Exec="tool", Terminal="true")
    entry(theirs, "c", Name="Of a module", Exec='tool "two words"')
    entry(ours, "hidden", Name="Hidden", Exec="tool", NoDisplay="true")
    entry(ours, "gone", Name="Gone", Exec="not-installed-anywhere")
    entry(ours, "lab", Name="JupyterLab", Exec="tool")
    entry(ours, "link", Name="Link", Exec="tool", Type="Link")
    entry(ours, "broken", Name="Broken", Exec='tool "')
    _, rows = write(tmp_path, prefix, XDG_DATA_DIRS=str(tmp_path / "module"))
    assert titles(rows)[-3:] == ["A tool", "Console tool", "Of a module"]
    assert f'"{prefix}/bin/tool" "--open" "--percent" "5%"' in rows[-3]
    assert '"-e"' in rows[-2]
    assert '"two words"' in rows[-1]


def test_text_stays_text():
    assert desktopmenu.quoted('a"b\\c\nprog x') == '"a\\"b\\\\cprog x"'


def test_programs_of_the_menu_run_on_the_gpu_by_virtualgl(tmp_path):
    entries = [desktopmenu.Entry("silx view", ("/e/silx", "view")), desktopmenu.Entry("Terminal", ("xterm",))]
    rows = desktopmenu.menu(entries, [], ("/opt/vglrun", "-d", "egl")).splitlines()
    assert rows[0] == 'prog "silx view" "-" "/opt/vglrun" "-d" "egl" "/e/silx" "view"'
    assert "vglrun" not in rows[1]
    assert desktopmenu.with_gpu(str(tmp_path)) == ()


def test_what_lacks_is_said_in_words(tmp_path):
    program(tmp_path, "icewm")
    assert "icewm" not in desktop.missing(str(tmp_path))
    text = desktop.why_not(str(tmp_path))
    assert text.startswith("A desktop needs programs that are not installed here: Xvnc (TigerVNC), ")
    assert "apt install tigervnc-standalone-server" in text
    assert start.EXIT_NO_DESKTOP == exits.NO_DESKTOP
    assert "desktop" in exits.SENTENCES[exits.NO_DESKTOP]


def test_no_secret_is_among_the_arguments_and_nothing_listens_on_tcp(tmp_path):
    arguments = " ".join(desktop.server_arguments(tmp_path, "800x600", 5))
    assert "-rfbport -1" in arguments
    assert "-nolisten tcp" in arguments
    assert "-rfbunixmode 0600" in arguments
    assert "-SecurityTypes VncAuth" in arguments
    passwords = {desktop.new_password() for _ in range(50)}
    assert len(passwords) == 50
    assert {len(password) for password in passwords} == {8}


def test_the_folder_is_private_and_nobody_elses(tmp_path):
    desktop.make_folder(tmp_path / "d")
    desktop.write_private(tmp_path / "d" / "password", b"x")
    assert stat.S_IMODE((tmp_path / "d").stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "d/password").stat().st_mode) == 0o600
    (tmp_path / "link").symlink_to(tmp_path / "d")
    with pytest.raises(NotADirectoryError):
        desktop.make_folder(tmp_path / "link")
    if os.geteuid() == 0:
        os.chown(tmp_path / "d", 65534, 65534)
        with pytest.raises(PermissionError):
            desktop.make_folder(tmp_path / "d")


def test_places_are_named_by_what_tells_them_apart():
    mounts = [("/data/a/raw", False), ("/data/b/raw", False), ("/data/a/processed", True)]
    made = desktopchild.desktop_specification("/home/x", "/run/j", mounts, "work/one")
    assert [place["title"] for place in made["places"]] == ["Home", "a – raw", "b – raw", "processed"]
    assert [place["is_writable"] for place in made["places"]] == [True, False, False, True]
    assert made["workdir"] == "/home/x/work/one"


def test_a_folder_whose_sockets_would_have_too_long_names_is_elsewhere(tmp_path):
    made = desktopchild.desktop_specification("/home/x", "/" + "d" * 120, [], ".")
    child = desktopchild.DesktopChild(made, prefix=tmp_path, dies_with_parent=False)
    assert len(child.folder) < 60
    assert child.variables()["PANHUB_DESKTOP_FOLDER"] == child.folder
