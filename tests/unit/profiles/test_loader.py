"""Every fault of a profiles file is reported with its line, its key and its cause."""

from __future__ import annotations

import hashlib
import json
from datetime import timedelta
from pathlib import Path, PurePosixPath

import jsonschema
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from profiles.loader import ProfilesError, load_profiles
from profiles.models import ProfilesFile, format_duration, parse_duration
from profiles.schema import SCHEMA_FILE, schema_text
from spawners.plan import Interface

ROOT = Path(__file__).parents[3]
DEMO = ROOT / "profiles/site/demo.yaml"

GOOD = """\
environments:
  core:
    title: Core
    prefix: environments/core
    lock_sha256: {sha}
sizes:
  small:
    title: Small
    cpus: 1
    memory_mib: 2048
places:
  local:
    title: This machine
    backend: local
profiles:
  lab:
    title: Lab
    interfaces: [lab]
    environment: core
    places: [local]
    sizes: [small]
    default_size: small
    walltime: {{default: 2 h, max: 8 h}}
    allow: everyone
default_profile: lab
""".format(sha="ab" * 32)


def written(tmp_path, text):
    path = tmp_path / "profiles.yaml"
    path.write_text(text)
    return path


def test_a_good_file_loads_with_prefixes_under_the_root(tmp_path):
    profiles = load_profiles(written(tmp_path, GOOD), environments_root=Path("/srv"))
    assert profiles.environments["core"].prefix == PurePosixPath("/srv/environments/core")
    assert profiles.sizes["small"].memory_mib == 2048
    assert profiles.profiles["lab"].walltime.max == timedelta(hours=8)


SLURM = (
    GOOD.replace("backend: local", "backend: slurm, cluster: pan, partition: cpu".replace(", ", "\n    "))
    .replace("places: [local]", "places: [local, power]")
    .replace(
        "profiles:\n",
        "  power:\n    title: Power\n    backend: slurm\n    cluster: pan\n    partition: p9\n"
        "    architecture: ppc64le\nprofiles:\n",
        1,
    )
)


@pytest.mark.parametrize(
    ("architectures", "places"),
    [("x86_64", ("local",)), ("ppc64le", ("power",)), ("ppc64le, x86_64", ("local", "power"))],
)
def test_a_place_of_an_architecture_that_the_environment_is_not_for_is_not_offered(
    tmp_path, architectures, places
):
    text = SLURM.replace("    title: Core\n", f"    title: Core\n    architectures: [{architectures}]\n")
    profiles = load_profiles(written(tmp_path, text))
    assert profiles.profiles["lab"].places == places
    assert {*profiles.unfit["lab"], *places} == {"local", "power"}


def test_a_profile_that_no_place_is_left_for_is_a_fault(tmp_path):
    text = SLURM.replace("    title: Core\n", "    title: Core\n    architectures: [aarch64]\n")
    with pytest.raises(ProfilesError, match=r"profiles\.lab\.places: none is of an architecture .*: aarch64"):
        load_profiles(written(tmp_path, text))


def test_modules_image_and_type_of_gpu_reach_the_plan(tmp_path):
    text = (
        SLURM.replace(
            "    title: Core\n", "    title: Core\n    modules: [gcc/13, cuda]\n    image: core.sif\n"
        )
        .replace("prefix: environments/core", "prefix: /opt/core")
        .replace("    cpus: 1\n", "    cpus: 1\n    gpus: 2\n    gpu_type: a100\n")
    )
    profiles = load_profiles(written(tmp_path, text), environments_root=Path("/srv"))
    environment = profiles.environments["core"]
    assert (environment.modules, environment.image) == (("gcc/13", "cuda"), PurePosixPath("/srv/core.sif"))
    assert environment.prefix == PurePosixPath("/opt/core")
    assert (profiles.sizes["small"].gpus, profiles.sizes["small"].gpu_type) == (2, "a100")


def test_without_a_root_paths_start_at_the_file(tmp_path):
    profiles = load_profiles(written(tmp_path, GOOD))
    assert profiles.environments["core"].prefix == PurePosixPath(tmp_path / "environments/core")


def test_the_lock_file_is_hashed(tmp_path):
    (tmp_path / "core.lock").write_bytes(b"numpy==2\n")
    text = GOOD.replace("lock_sha256: " + "ab" * 32, "lock: core.lock")
    profiles = load_profiles(written(tmp_path, text))
    assert profiles.environments["core"].lock_sha256 == hashlib.sha256(b"numpy==2\n").hexdigest()


@pytest.mark.parametrize(
    ("old", "new", "line", "key", "cause"),
    [
        ("cpus: 1", "cpus: 0", 9, "sizes.small.cpus", "greater than or equal to 1"),
        ("cpus: 1", "cpus: '1'", 9, "sizes.small.cpus", "valid integer"),
        ("    cpus: 1\n", "", 7, "sizes.small.cpus", "Field required"),
        ("title: Small", "titel: Small", 8, "sizes.small.titel", "not permitted"),
        ("environment: core", "environment: cores", 19, "profiles.lab.environment", "no environment `cores`"),
        (
            "places: [local]",
            "places: [slurm]",
            20,
            "profiles.lab.places.0",
            "no place `slurm`; there is local",
        ),
        ("places: [local]", "places: []", 20, "profiles.lab.places", "at least 1"),
        ("places: [local]", "place: local", 20, "profiles.lab.place", "not permitted"),
        ("places: [local]", "places: [local, local]", 20, "profiles.lab.places", "names a place twice"),
        ("  local:\n", "  soonest:\n", 11, "places", "starts first"),
        ("backend: local", "backend: slurm", 12, "places.local.partition", "Field required"),
        ("backend: local", "backend: local\n    partition: x", 15, "places.local.partition", "not permitted"),
        (
            "backend: local",
            "backend: local\n    storage: [data]",
            15,
            "places.local.storage.0",
            "should match pattern",
        ),
        (
            "backend: local",
            "backend: local\n    storage: [/data/../etc]",
            15,
            "places.local.storage.0",
            "without `..`",
        ),
        ("backend: local", "backend: local\n    payers: []", 15, "places.local.payers", "at least 1"),
        (
            "backend: local",
            "backend: local\n    payers: [me]",
            15,
            "places.local.payers.0",
            "should match pattern",
        ),
        (
            "backend: local",
            "backend: local\n    payers: [person, person]",
            15,
            "places.local.payers",
            "names a payer twice",
        ),
        (
            "backend: local",
            "backend: kubernetes\n    cluster: pan",
            21,
            "profiles.lab.places",
            "needs a `container`",
        ),
        (
            "    title: Core\n",
            "    title: Core\n    container: registry.example.org/core:2026\n",
            4,
            "environments.core.container",
            "by its digest",
        ),
        ("allow: everyone", "overflow_after: 0 min", 24, "profiles.lab.overflow_after", "one minute or more"),
        ("    cpus: 1\n", "    cpus: 1\n    gpu_type: a100\n", 7, "sizes.small", "no `gpus`"),
        (
            "    title: Core\n",
            "    title: Core\n    modules: [cuda]\n",
            21,
            "profiles.lab.places.0",
            "no modules or images",
        ),
        (
            "    title: Core\n",
            "    title: Core\n    modules: ['cuda; rm']\n",
            4,
            "environments.core.modules.0",
            "should match pattern",
        ),
        (
            "    title: Core\n",
            "    title: Core\n    image: core.sif\n",
            2,
            "environments.core",
            "prefix of an environment in an image is absolute",
        ),
        ("    title: Lab\n", "    title: Lab\n    scheduling: 1\n", 18, "profiles.lab.scheduling", "boolean"),
        ("sizes: [small]", "sizes: [small, big]", 21, "profiles.lab.sizes.1", "no size `big`"),
        (
            "default_size: small",
            "default_size: big",
            22,
            "profiles.lab.default_size",
            "no size of the profile",
        ),
        ("default_profile: lab", "default_profile: x", 25, "default_profile", "no profile `x`"),
        ("backend: local", "backend: slurmy", 12, "places.local", "'local', 'slurm', 'batchspawner'"),
        ("default: 2 h", "default: 9 h", 23, "profiles.lab.walltime", "longer than `max`"),
        ("default: 2 h", "default: 2 fortnights", 23, "profiles.lab.walltime.default", "write a duration"),
        ("default: 2 h", "default: 0 h", 23, "profiles.lab.walltime.default", "one minute or more"),
        ("allow: everyone", "allow: {}", 24, "profiles.lab.allow", "names nobody"),
        ("allow: everyone", "allow: {group: [a]}", 24, "profiles.lab.allow", "not permitted"),
        ("interfaces: [lab]", "interfaces: []", 18, "profiles.lab.interfaces", "at least 1"),
        ("  lab:\n", "  Lab:\n", 16, "profiles.Lab", "should match pattern"),
        ("  small:\n", "  '../x':\n", 7, "sizes.../x", "should match pattern"),
        ("lock_sha256: " + "ab" * 32, "lock: gone.lock", 5, "environments.core.lock", "cannot read the lock"),
        ("    title: Core\n", "    title: Core\n    lock: x\n", 2, "environments.core", "exactly one of"),
        ("    title: Lab\n", "    title: Lab\n    title: Lab2\n", 18, "profiles.lab.title", "stands twice"),
        ("sizes:\n", "sizes: [\n", 7, "", "is not YAML"),
    ],
)
def test_a_fault_is_named_by_line_key_and_cause(tmp_path, old, new, line, key, cause):
    assert old in GOOD
    path = written(tmp_path, GOOD.replace(old, new, 1))
    with pytest.raises(ProfilesError) as caught:
        load_profiles(path)
    found = [(fault.line, fault.key) for fault in caught.value.faults if cause in fault.cause]
    assert found, str(caught.value)
    if cause != "is not YAML":
        assert (line, key) in found, str(caught.value)
    assert str(path) in str(caught.value)


@pytest.mark.parametrize("text", ["", "[]", "just text", "\x00", "a: &a [*a]", "? [a, b]\n: c\n"])
def test_what_is_no_profiles_file_is_refused(tmp_path, text):
    with pytest.raises(ProfilesError):
        load_profiles(written(tmp_path, text))


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(ProfilesError, match=r"nothing\.yaml"):
        load_profiles(tmp_path / "nothing.yaml")


def test_all_faults_are_reported_at_once(tmp_path):
    text = GOOD.replace("cpus: 1", "cpus: 0").replace("2048", "1").replace("allow: everyone", "allow: nobody")
    with pytest.raises(ProfilesError) as caught:
        load_profiles(written(tmp_path, text))
    keys = {fault.key for fault in caught.value.faults}
    assert {"sizes.small.cpus", "sizes.small.memory_mib", "profiles.lab.allow"} <= keys


def test_the_published_schema_is_current():
    assert SCHEMA_FILE.read_text(encoding="utf-8") == schema_text(), "run python -m profiles.schema"


def test_the_published_schema_accepts_the_demo_and_refuses_a_stray_key():
    schema = json.loads(SCHEMA_FILE.read_text(encoding="utf-8"))
    demo = yaml.safe_load(DEMO.read_text(encoding="utf-8"))
    jsonschema.validate(demo, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({**demo, "stray": 1}, schema)


def test_the_demo_profiles_load():
    assert load_profiles(DEMO, environments_root=ROOT).default_profile == "lab"


def test_a_loaded_model_writes_a_file_that_loads_again():
    demo = ProfilesFile.model_validate(yaml.safe_load(DEMO.read_text(encoding="utf-8")))
    assert ProfilesFile.model_validate(demo.model_dump(mode="json")) == demo


@given(st.integers(min_value=1, max_value=60 * 24 * 365))
def test_a_duration_reads_back_as_it_was_written(minutes):
    duration = timedelta(minutes=minutes)
    assert parse_duration(format_duration(duration)) == duration


@pytest.mark.parametrize(
    ("text", "minutes"),
    [("8 h", 480), ("90 min", 90), ("1 h 30 min", 90), ("1h30min", 90), ("7 d", 10080), ("1 d 2 h", 1560)],
)
def test_durations_are_read_as_people_write_them(text, minutes):
    assert parse_duration(text) == timedelta(minutes=minutes)


@pytest.mark.parametrize("text", ["", "h", "8", "-1 h", "8 hours", "8 h\nx", "1e3 h", 8, None, True])
def test_what_is_no_duration_is_refused(text):
    with pytest.raises(ValueError, match="duration"):
        parse_duration(text)


def test_what_a_site_does_not_run_is_not_offered_nor_a_profile_of_nothing_else(tmp_path):
    offered = load_profiles(DEMO, environments_root=ROOT)
    assert "desktop" in offered.profiles
    without = offered.without(Interface.DESKTOP)
    assert set(without.profiles) == set(offered.profiles) - {"desktop"}
    assert all(profile.interfaces == (Interface.LAB,) for profile in without.profiles.values())
    with pytest.raises(ValueError, match="default_profile"):
        offered.without(Interface.LAB)
