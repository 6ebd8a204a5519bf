"""The stand-in for Grafana loads what this project provisions, and refuses what Grafana refuses."""

import json

import pytest
import yaml

from testkit.compose.stand_ins.grafana import Refused, read_provisioning, setting


@pytest.fixture
def provisioning(tmp_path, root_folder):
    """The project's own files in a folder of their own, the dashboards' folder named anew."""
    folder = tmp_path / "provisioning"
    for kind in ("datasources", "dashboards"):
        (folder / kind).mkdir(parents=True)
    given = root_folder / "deploy/grafana/provisioning"
    (folder / "datasources/a.yml").write_text((given / "datasources/groundswell.yml").read_text())
    tree = yaml.safe_load((given / "dashboards/groundswell.yml").read_text())
    boards = tmp_path / "boards"
    boards.mkdir()
    for path in (root_folder / "deploy/grafana/dashboards").glob("*.json"):
        (boards / path.name).write_text(path.read_text())
    tree["providers"][0]["options"]["path"] = str(boards)
    (folder / "dashboards/b.yml").write_text(yaml.safe_dump(tree))
    return folder


@pytest.fixture
def root_folder(pytestconfig):
    return pytestconfig.rootpath


def change_board(provisioning, **changes):
    path = sorted((provisioning.parent / "boards").glob("*.json"))[0]
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def change_source(provisioning, number, **changes):
    path = provisioning / "datasources/a.yml"
    tree = yaml.safe_load(path.read_text())
    tree["datasources"][number] |= changes
    path.write_text(yaml.safe_dump(tree))


def test_it_loads_what_the_project_provisions(provisioning, root_folder):
    given = read_provisioning(provisioning)
    assert set(given.sources) == {"prometheus", "alertmanager"}
    boards = list((root_folder / "deploy/grafana/dashboards").glob("*.json"))
    assert len(given.dashboards) == len(boards) > 0


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"title": ""}, "title cannot be empty"),
        ({"uid": "not valid"}, "not valid"),
        ({"uid": "a" * 41}, "not valid"),
        ({"id": 7}, "no id of its own"),
        ({"panels": [{"datasource": {"uid": "nobody"}}]}, "nobody was not found"),
    ],
)
def test_it_refuses_a_dashboard_that_grafana_refuses(provisioning, changes, said):
    change_board(provisioning, **changes)
    with pytest.raises(Refused, match=said):
        read_provisioning(provisioning)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"isDefault": True}, "only one data source"),
        ({"type": "nothing"}, "no plugin"),
        ({"access": "sideways"}, "access is one of"),
        ({"uid": "prometheus"}, "another data source"),
        ({"name": ""}, "needs a name"),
    ],
)
def test_it_refuses_a_data_source_that_grafana_refuses(provisioning, changes, said):
    change_source(provisioning, 1, **changes)
    with pytest.raises(Refused, match=said):
        read_provisioning(provisioning)


def test_two_dashboards_of_one_uid_are_refused(provisioning):
    first, second, *_ = sorted((provisioning.parent / "boards").glob("*.json"))
    second.write_text(first.read_text())
    with pytest.raises(Refused, match="another dashboard"):
        read_provisioning(provisioning)


def test_a_provider_whose_folder_is_not_there_is_refused(provisioning):
    path = provisioning / "dashboards/b.yml"
    path.write_text(path.read_text().replace("boards", "nowhere"))
    with pytest.raises(Refused, match="a folder that exists"):
        read_provisioning(provisioning)


def test_a_file_of_another_version_is_refused(provisioning):
    (provisioning / "datasources/a.yml").write_text("apiVersion: 2\n")
    with pytest.raises(Refused, match="apiVersion: 1"):
        read_provisioning(provisioning)


def test_a_setting_in_a_file_is_read_and_given_once(tmp_path):
    file = tmp_path / "password"
    file.write_text("secret\n")
    assert setting({"A__FILE": str(file)}, "A") == "secret"
    with pytest.raises(Refused, match="exclusive"):
        setting({"A__FILE": str(file), "A": "other"}, "A")
    with pytest.raises(Refused, match="A__FILE"):
        setting({"A__FILE": str(tmp_path / "none")}, "A")
