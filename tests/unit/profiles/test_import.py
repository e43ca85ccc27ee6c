"""From zero-to-jupyterhub's values and KubeSpawner's profile_list to files that our loader takes."""

from __future__ import annotations

import contextlib
import re
from datetime import timedelta

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from hub.cli import main
from profiles.importer.command import (
    NOTES,
    PROFILES,
    SETTINGS,
    NotImportedError,
    import_profiles,
    read_digests,
)
from profiles.importer.convert import Wishes, convert
from profiles.importer.notes import Notes
from profiles.importer.resources import container, resources
from profiles.importer.shapes import SourceError
from profiles.importer.source import source_of
from profiles.importer.variants import merged, variants
from profiles.loader import ProfilesError, load_profiles
from profiles.models import ProfilesFile
from spawners.kubernetes.settings import KubernetesSettings

CORE, TORCH = "registry.example.org/core", "registry.example.org/torch"
ONE, TWO = f"sha256:{'1' * 64}", f"sha256:{'2' * 64}"
DIGESTS = {f"{CORE}:1.2": ONE, TORCH: TWO}

VALUES = f"""
proxy: {{secretToken: x}}
hub:
  extraConfig:
    hook: c.KubeSpawner.modify_pod_hook = change
  config:
    KubeSpawner: {{delete_grace_period: 5, extra_labels: {{team: beamlines}}}}
    JupyterHub: {{authenticator_class: generic-oauth}}
cull: {{timeout: 7200, maxAge: 43200, every: 300}}
scheduling:
  userScheduler: {{enabled: true}}
  userPlaceholder: {{enabled: true, replicas: 3}}
  userPods: {{nodeAffinity: {{matchNodePurpose: require}}}}
singleuser:
  image: {{name: {CORE}, tag: "1.2", pullPolicy: Always, pullSecrets: [{{name: registry}}]}}
  cpu: {{limit: 2, guarantee: 0.5}}
  memory: {{limit: 4G, guarantee: 4G}}
  nodeSelector: {{pool: users}}
  extraEnv: {{EDITOR: vi}}
  initContainers: [{{name: chown, image: busybox}}]
  storage:
    type: static
    static: {{pvcName: homes, subPath: "people/{{username}}"}}
    extraVolumes:
      - {{name: data, nfs: {{server: 10.1.1.1, path: /export}}}}
      - {{name: own, persistentVolumeClaim: {{claimName: "own-{{username}}"}}}}
    extraVolumeMounts:
      - {{name: data, mountPath: /data, subPath: visitor, readOnly: true}}
      - {{name: own, mountPath: /own}}
  extraFiles: {{motd: {{mountPath: /etc/motd, stringData: hello}}}}
  surprise: 3
  profileList:
    - display_name: "<b>Small</b> &amp; simple"
      description: For courses
      default: true
      profile_options:
        size:
          display_name: Size
          choices:
            s: {{display_name: S}}
            m:
              display_name: M
              default: true
              kubespawner_override: {{cpu_limit: 4, cpu_guarantee: 1, mem_limit: 8G, mem_guarantee: 8G}}
    - display_name: Deep learning
      slug: dl
      allowed_groups: [org:dl]
      kubespawner_override:
        image: {TORCH}:9
        cpu_limit: 8
        cpu_guarantee: 2
        mem_limit: 64G
        mem_guarantee: 64G
        extra_resource_limits: {{nvidia.com/gpu: "1"}}
        node_selector: {{gpu: a100}}
        tolerations: [{{key: gpu, operator: Exists, effect: NoSchedule, tolerationSeconds: 5}}]
"""


def imported(content, **wishes):
    return convert(
        source_of(yaml.safe_load(content) if isinstance(content, str) else content), Wishes(**wishes)
    )


def noted(found):
    return {note.where: note.text for note in found.notes}


@pytest.fixture(scope="module")
def site():
    return imported(VALUES, digests=DIGESTS, cluster="pan")


def test_the_loader_takes_what_was_made_when_all_digests_are_known(site):
    file = ProfilesFile.model_validate(site.profiles)
    assert file.broken_references() == ()
    cluster = KubernetesSettings.model_validate(site.settings["kubernetes"]).clusters["pan"]
    assert {place.pool for place in file.places.values()} == set(cluster.pools)


def test_choices_of_size_become_sizes_of_one_profile(site):
    small = site.profiles["profiles"]["small-simple"]
    assert small["title"] == "Small & simple"
    assert small["description"] == "For courses"
    assert small["sizes"] == ["2cpu-4gib", "4cpu-8gib"]
    assert small["default_size"] == "4cpu-8gib"
    assert small["places"] == ["pan"]
    assert small["allow"] == "everyone"
    assert small["walltime"] == {"default": "4 h", "max": "12 h"}  # cull.maxAge
    assert site.profiles["default_profile"] == "small-simple"


def test_a_gate_and_gpus_are_carried_over(site):
    deep = site.profiles["profiles"]["dl"]
    assert deep["allow"] == {"groups": ["org:dl"]}
    size = site.profiles["sizes"][deep["sizes"][0]]
    assert (size["cpus"], size["memory_mib"], size["gpus"]) == (8, 65536, 1)
    pool = site.settings["kubernetes"]["clusters"]["pan"]["pools"][
        site.profiles["places"][deep["places"][0]]["pool"]
    ]
    assert pool["node_selector"] == {"pool": "users", "gpu": "a100"}  # mappings are merged
    assert pool["tolerations"] == [
        {"key": "gpu", "operator": "Exists", "effect": "NoSchedule"}
    ]  # lists are not
    assert pool["gpus"] == {"any": {"resource": "nvidia.com/gpu"}}


def test_images_are_by_digest(site):
    environments = site.profiles["environments"]
    assert [one["container"] for one in environments.values()] == [f"{CORE}@{ONE}", f"{TORCH}@{TWO}"]
    assert [f"sha256:{one['lock_sha256']}" for one in environments.values()] == [ONE, TWO]


def test_what_is_one_for_all_sessions_is_the_clusters(site):
    cluster = site.settings["kubernetes"]["clusters"]["pan"]
    assert cluster["image_pull_policy"] == "Always"
    assert cluster["image_pull_secrets"] == ["registry"]
    assert cluster["cpu_reserved"] == 0.25
    assert cluster["kubespawner"]["extra_labels"] == {"team": "beamlines"}
    (term,) = cluster["kubespawner"]["node_affinity_required"]
    assert term["matchExpressions"][0]["key"] == "hub.jupyter.org/node-purpose"
    default = cluster["pools"]["default"]
    assert default["warm"] == {"pods": 3}
    assert [one["key"] for one in default["tolerations"]] == [
        "hub.jupyter.org/dedicated",
        "hub.jupyter.org_dedicated",
    ]
    assert cluster["storage"] == [
        {"path": "/home", "source": {"kind": "claim", "claim": "homes", "sub_path": "people"}},
        {"path": "/data", "source": {"kind": "nfs", "server": "10.1.1.1", "export": "/export/visitor"}},
    ]
    assert site.settings["sessions"] == {"idle_end_s": 7200, "idle_warn_s": 600}


def test_what_cannot_be_carried_over_is_said(site):
    found = noted(site)
    for where, word in {
        "hub.extraConfig.hook": "code",
        "hub.config.JupyterHub": "not about sessions",
        "proxy": "not about sessions",
        "cull.every": "wall time",
        "scheduling.userPlaceholder": "pause_image",
        "scheduling.userScheduler": "scheduler_name",
        "singleuser.extraFiles": "image",
        "singleuser.surprise": "not known",
        "singleuser.storage.static": "homes",
        "singleuser.storage.extraVolumeMounts.own": "all sessions share",
        "all profiles.environment": "ENV",
        "all profiles.init_containers": "nothing but the session's own program",
        "all profiles.delete_grace_period": "engine",
        "profile dl.tolerations": "tolerationSeconds",
    }.items():
        assert word in found[where], where


def test_no_key_of_a_values_file_is_lost_without_a_word():
    """Every leaf of `singleuser`, a stranger in the place of its value, changes a file or makes a note."""
    content = yaml.safe_load(VALUES)
    content["singleuser"].pop("profileList")
    before = imported(content)
    for name, value in {
        "uid": 7,
        "fsGid": 8,
        "cmd": "start",
        "defaultUrl": "/rstudio",
        "startTimeout": 5,
        "lifecycleHooks": {"postStart": {}},
        "extraContainers": [{"name": "x"}],
        "extraPodConfig": {"hostNetwork": True},
        "allowPrivilegeEscalation": True,
        "serviceAccountName": "x",
        "events": True,
        "podNameTemplate": "x",
        "networkPolicy": {"enabled": False},
        "networkTools": {"image": {}, "resources": 1},
        "cloudMetadata": {"blockWithIptables": True},
        "extraAnnotations": {"example.org/a": "b"},
        "extraLabels": {"a": "{username}"},
        "extraResource": {"limits": {"example.org/fpga": "1"}},
        "extraPodAffinity": {"preferred": [{"weight": 1, "podAffinityTerm": {"topologyKey": "zone"}}]},
        "memory": {"limit": "2G"},
        "made_up": {"deep": {"er": 1}},
    }.items():
        after = imported({**content, "singleuser": {**content["singleuser"], name: value}})
        assert (after.profiles, after.settings, after.notes) != (
            before.profiles,
            before.settings,
            before.notes,
        ), name


@pytest.mark.parametrize(
    ("profile", "expected"),
    [
        ({"kubespawner_override": {"privileged": True}}, "without any privilege"),
        ({"kubespawner_override": {"volumes": [{"name": "x"}]}}, "`storage` of the cluster"),
        ({"kubespawner_override": {"made_up": 1}}, "no such trait"),
        ({"surprise": 1}, "not known"),
        ({"profile_options": {"x": {"unlisted_choice": {"enabled": True}}}}, "a value of one's own"),
        ({"kubespawner_override": {"mem_limit": "lots"}}, "no amount of memory"),
        ({"kubespawner_override": {"cpu_limit": 0.5}}, "whole CPUs"),
    ],
)
def test_a_profile_says_what_is_lost(profile, expected):
    found = imported([{"display_name": "One", "kubespawner_override": {"image": CORE}, **profile}])
    assert any(expected in note.text for note in found.notes)


@pytest.mark.parametrize("key", ["access", "groups", "users", "allowed_users", "roles"])
def test_a_gate_that_is_not_understood_lets_nobody_in(key):
    found = imported([{"display_name": "One", key: "yaml"}])
    assert found.profiles["profiles"]["one"]["allow"] == {"groups": ["TODO"]}
    assert "only the group TODO" in noted(found)[f"profile One.{key}"]


CHOICE = {
    "choices": {
        "a": {"kubespawner_override": {"image": CORE}},
        "b": {"allowed_groups": ["g"], "kubespawner_override": {"image": TORCH}},
    }
}


@pytest.mark.parametrize(
    ("groups", "expected"),
    [
        (None, ["everyone", {"groups": ["g"]}]),
        (["g", "h"], [{"groups": ["g", "h"]}, {"groups": ["g"]}]),
        (["h"], [{"groups": ["h"]}]),  # nobody passes both gates
    ],
)
def test_gates_of_choices_are_never_widened(groups, expected):
    more = {} if groups is None else {"allowed_groups": groups}
    found = imported([{"display_name": "P", "profile_options": {"image": CHOICE}, **more}])
    assert [profile["allow"] for profile in found.profiles["profiles"].values()] == expected


@pytest.mark.parametrize(
    ("gate", "expected"),
    [
        ({"allowed_groups": ["g"]}, [{"groups": ["g"]}, {"groups": ["g"]}]),
        ({"allowed_groups": ["h"]}, [{"groups": ["h"]}]),
        ({"access": "yaml"}, [{"groups": ["TODO"]}]),
    ],
)
def test_a_gate_of_an_option_is_one_of_all_its_choices(gate, expected):
    found = imported([{"display_name": "P", "profile_options": {"image": {**CHOICE, **gate}}}])
    assert [profile["allow"] for profile in found.profiles["profiles"].values()] == expected


def test_choices_of_image_become_profiles_named_by_them():
    found = imported([{"display_name": "P", "profile_options": {"image": CHOICE}}])
    assert {name: one["title"] for name, one in found.profiles["profiles"].items()} == {
        "p-a": "P · a",
        "p-b": "P · b",
    }


def test_only_combinations_that_were_offered_are_offered():
    def size(memory, pool):
        return {"kubespawner_override": {"mem_limit": memory, "node_selector": {"size": pool}}}

    option = {"choices": {"small": size("4G", "small"), "big": size("64G", "big")}}
    apart = imported([{"display_name": "P", "profile_options": {"size": option}}])
    pairs = [(one["sizes"], one["places"]) for one in apart.profiles["profiles"].values()]
    assert pairs == [(["1cpu-4gib"], ["kubernetes"]), (["1cpu-64gib"], ["kubernetes-big"])]
    memory = {"choices": {m: {"kubespawner_override": {"mem_limit": m}} for m in ("4G", "8G")}}
    where = {"choices": {p: {"kubespawner_override": {"node_selector": {"zone": p}}} for p in ("a", "b")}}
    free = imported([{"display_name": "P", "profile_options": {"memory": memory, "zone": where}}])
    (profile,) = free.profiles["profiles"].values()
    assert profile["sizes"] == ["1cpu-4gib", "1cpu-8gib"]
    assert profile["places"] == ["kubernetes", "kubernetes-b"]


def test_a_profile_list_may_be_a_mapping_as_kubespawner_7_1_has_it():
    found = imported(
        {"profile_list": {"b": {"display_name": "B"}, "a": {"display_name": "A", "default": True}}}
    )
    assert list(found.profiles["profiles"]) == ["a", "b"]
    assert found.profiles["default_profile"] == "a"
    assert imported("{b: {display_name: B}}").profiles["default_profile"] == "b"


def test_the_chart_as_a_dependency_of_another_is_found():
    found = imported({"jupyterhub": {"singleuser": {"image": {"name": CORE, "tag": "1.2"}}}}, digests=DIGESTS)
    assert list(found.profiles["profiles"]) == ["default"]


@pytest.mark.parametrize(
    "content",
    [
        "just words",
        [["a"]],
        [{"description": "no name"}],
        {"singleuser": 3},
        {"singleuser": {"profileList": "f"}},
        None,
    ],
)
def test_what_is_neither_is_refused(content):
    with pytest.raises(SourceError):
        source_of(content)


def test_mappings_are_merged_and_null_removes_as_in_kubespawner():
    base = {"node_selector": {"a": "1", "b": "2"}, "tolerations": [1], "environment": {"x": {"y": 1, "z": 2}}}
    more = {"node_selector": {"a": None, "c": "3"}, "tolerations": [2], "environment": {"x": {"y": 3}}}
    assert merged(base, more) == {
        "node_selector": {"b": "2", "c": "3"},
        "tolerations": [2],
        "environment": {"x": {"y": 3, "z": 2}},
    }
    assert base["node_selector"] == {"a": "1", "b": "2"}


def test_the_first_choice_is_the_default_where_none_is_marked():
    option = {"choices": {"x": {}, "y": {}}}
    found = variants(source_of([{"display_name": "P", "profile_options": {"o": option}}]))
    assert [variant.is_default for variant in found] == [True, False]


def test_choices_without_end_are_cut_with_a_word():
    option = {"choices": {str(n): {} for n in range(30)}}
    source = source_of([{"display_name": "P", "profile_options": {"o": option, "p": option}}])
    assert len(variants(source)) == 500
    assert "900 combinations" in source.notes.found[0].text
    many = source_of([{"display_name": "P", "profile_options": {str(n): option for n in range(20)}}])
    assert len(variants(many)) == 500  # and no others are made on the way


@pytest.mark.parametrize(
    ("traits", "expected"),
    [
        ({"cpu_limit": 2, "mem_limit": "4G"}, (2, 4096, 0)),
        ({"cpu_limit": "500m", "mem_limit": 1024**3}, (1, 1024, 0)),
        ({"cpu_guarantee": 0.05}, (1, 1024, 0)),
        ({"cpu_limit": 1.5, "mem_limit": "1.5G"}, (2, 1536, 0)),
        ({"mem_limit": "10M"}, (1, 256, 0)),
        ({"mem_limit": "1Ti"}, (1, 1024 * 1024, 0)),
        ({"extra_resource_limits": {"nvidia.com/gpu": "2"}}, (1, 1024, 2)),
        ({"extra_resource_guarantees": {"nvidia.com/mig-1g.5gb": 1}}, (1, 1024, 1)),
        ({"extra_resource_limits": {"nvidia.com/gpu": "0", "example.org/fpga": "1"}}, (1, 1024, 0)),
    ],
)
def test_a_size_is_what_a_session_may_use(traits, expected):
    found = resources(traits, "here", Notes())
    assert (found.cpus, found.memory_mib, found.gpus) == expected


@pytest.mark.parametrize(
    ("image", "expected"),
    [
        ("core:1", f"core@{ONE}"),
        ("registry.example.org:5000/a/core:1", f"registry.example.org:5000/a/core@{TWO}"),
        ("registry.example.org:5000/a/other", "registry.example.org:5000/a/other@sha256:TODO"),
        (f"core:1@{TWO}", f"core@{TWO}"),  # what the file says is what runs
    ],
)
def test_an_image_is_named_by_its_digest(image, expected):
    assert container(image, {"core:1": ONE, "registry.example.org:5000/a/core": TWO}) == expected


def test_digests_are_read_from_the_command_line():
    assert read_digests([f"a/b:1={ONE}"]) == {"a/b:1": ONE}
    for text in ("a/b:1", "a=sha256:1", f"={ONE}", f"a@sha256={ONE}"):
        with pytest.raises(NotImportedError, match="IMAGE=sha256"):
            read_digests([text])


@pytest.fixture
def values(tmp_path):
    path = tmp_path / "values.yaml"
    path.write_text(VALUES)
    return path


def test_the_command_writes_files_and_says_what_is_left(values, tmp_path, capsys):
    folder = tmp_path / "out"
    assert main(["import-profiles", str(values), str(folder), "--digest", f"{CORE}:1.2={ONE}"]) == 1
    said = capsys.readouterr().out
    assert f"To mend: {folder / PROFILES}:" in said
    assert "give the image by its digest" in said
    assert f"--digest {TORCH}:9=sha256:…" in said
    with pytest.raises(ProfilesError, match="by its digest"):
        load_profiles(folder / PROFILES)
    notes = (folder / NOTES).read_text().splitlines()
    assert notes[0] == "# What values.yaml says and these files do not, or not in the same way."
    assert set(notes[2:]) < set(said.splitlines())


def test_the_files_load_as_they_are_when_nothing_is_left_open(values, tmp_path, capsys):
    folder = tmp_path / "out"
    digests = [word for image, digest in DIGESTS.items() for word in ("--digest", f"{image}={digest}")]
    more = ["--cluster", "pan", "--prefix", "/srv/env", "--walltime", "2 h", "--max-walltime", "1 d"]
    assert main(["import-profiles", str(values), str(folder), *digests, *more]) == 0
    profiles = load_profiles(folder / PROFILES)
    assert profiles.profiles["dl"].walltime.max == timedelta(days=1)
    assert str(profiles.environments["core-1.2"].prefix) == "/srv/env"
    settings = yaml.safe_load((folder / SETTINGS).read_text())
    assert set(KubernetesSettings.model_validate(settings["kubernetes"]).clusters) == {"pan"}


def test_nothing_is_written_over(values, tmp_path):
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / SETTINGS).write_text("mine")
    with pytest.raises(NotImportedError, match="there already"):
        import_profiles(values, folder, Wishes())
    assert [path.name for path in folder.iterdir()] == [SETTINGS]


@pytest.mark.parametrize("text", ["{", "!!python/name:os.system ", "\xff"])
def test_what_is_no_plain_yaml_is_refused(tmp_path, capsys, text):
    path = tmp_path / "values.yaml"
    path.write_bytes(text.encode("latin-1"))
    assert main(["import-profiles", str(path), str(tmp_path / "out")]) == 1
    assert str(path) in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("singleuser: {image: x, profileList: [{display_name: A}]}", "singleuser.image"),
        ("singleuser: {nodeSelector: x}", "singleuser.node_selector"),
        ("singleuser: {storage: {extraVolumes: x}}", "singleuser.storage.extraVolumes"),
        ("singleuser: {storage: {extraVolumeMounts: [{name: x}]}}", "extraVolumeMounts.0.mountPath"),
        ("jupyterhub: {singleuser: {extraTolerations: [x]}}", "jupyterhub.singleuser.tolerations.0"),
        ("[{display_name: A, profile_options: {a: x}}]", "profile_list A.profile_options.a"),
        ("[{display_name: A, kubespawner_override: {cpu_limit: [1]}}]", "profile A.cpu_limit"),
        ("hub: {config: x}", "hub.config"),
        ("hub: {config: {KubeSpawner: {cpu_limit: [1]}}}", "hub.config.KubeSpawner.cpu_limit"),
        ("{cull: {timeout: [1]}, singleuser: {}}", "cull.timeout"),
        ("singleuser: {nodeSelector: {1: a}}", "singleuser.nodeSelector.1"),
        ("singleuser: &a {cmd: [*a]}", "singleuser.cmd"),
        ("[" * 2000, "not plain YAML"),
    ],
)
def test_what_no_chart_takes_is_refused_at_its_place(tmp_path, text, place):
    (tmp_path / "values.yaml").write_text(text)
    with pytest.raises(NotImportedError, match=re.escape(place)):
        import_profiles(tmp_path / "values.yaml", tmp_path / "out", Wishes())
    assert not (tmp_path / "out").exists()


def nodes(content, path=()):
    """Paths of all that is in it."""
    yield path
    if isinstance(content, dict | list):
        for key, item in content.items() if isinstance(content, dict) else enumerate(content):
            yield from nodes(item, (*path, key))


def with_other(content, path, other):
    """The same with one thing in another's place."""
    if not path:
        return other
    changed = content.copy()
    changed[path[0]] = with_other(content[path[0]], path[1:], other)
    return changed


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=8), inner, max_size=2),
    max_leaves=4,
)


@given(st.data())
@settings(max_examples=300, deadline=None)
def test_whatever_stands_in_a_place_is_imported_or_refused(data):
    content = yaml.safe_load(VALUES)
    for _ in range(data.draw(st.integers(1, 3))):
        path = data.draw(st.sampled_from(list(nodes(content))))
        content = with_other(content, path, data.draw(ANYTHING))
    with contextlib.suppress(SourceError):
        yaml.safe_dump(convert(source_of(content), Wishes()).profiles)
