"""What the tests of data sets share."""

import pytest


@pytest.fixture(scope="session")
def make_files():
    def make_files(folder, **classes):
        for label, names in classes.items():
            (folder / label).mkdir(parents=True)
            for name in names:
                (folder / label / name).touch()
        return folder

    return make_files
