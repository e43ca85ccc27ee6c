"""The file window of a desktop: the data of the session, opened by a double click.

Run as ``python -I data.py PLACES`` by the session's environment, which has PySide6; PLACES is a JSON file
``[{"title": …, "path": …}, …]``. It shows and opens; it renames and removes nothing.
"""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

from PySide6.QtCore import QDir, QModelIndex, QProcess, Qt
from PySide6.QtGui import QIcon
from PySide6.QtWidgets import (
    QApplication,
    QFileSystemModel,
    QHeaderView,
    QListWidget,
    QListWidgetItem,
    QMainWindow,
    QSplitter,
    QTreeView,
)

_IMAGES = {
    ".h5",
    ".hdf5",
    ".nxs",
    ".nx",
    ".cxi",
    ".edf",
    ".cbf",
    ".tif",
    ".tiff",
    ".npy",
    ".npz",
    ".mccd",
    ".img",
}
_SPECTRA = {".mca", ".spec", ".dat"}
_TEXTS = {
    ".txt",
    ".log",
    ".csv",
    ".json",
    ".yaml",
    ".yml",
    ".py",
    ".md",
    ".cfg",
    ".ini",
    ".poni",
    ".xy",
    ".xml",
}


def command_for(path: Path) -> list[str] | None:
    """What opens a file; None if nothing here does."""
    ending = path.suffix.lower()
    if ending in _IMAGES:
        return ["silx", "view", str(path)]
    if ending in _SPECTRA and shutil.which("pymca"):
        return ["pymca", str(path)]
    if ending in _TEXTS | _SPECTRA:
        return ["xterm", "-title", path.name, "-e", "less", str(path)]
    return None


class DataWindow(QMainWindow):
    """Places on the left, files on the right."""

    def __init__(self, places: list[dict[str, str]]) -> None:
        super().__init__()
        self.setWindowTitle("Data")
        self.resize(900, 560)
        self._model = QFileSystemModel(self)
        self._model.setReadOnly(True)
        self._model.setFilter(QDir.Filter.AllEntries | QDir.Filter.NoDotAndDotDot)
        self._files = QTreeView()
        self._files.setModel(self._model)
        self._files.setColumnHidden(2, True)
        self._files.header().setSectionResizeMode(0, QHeaderView.ResizeMode.Stretch)
        self._files.header().setStretchLastSection(False)
        self._files.header().setSectionResizeMode(3, QHeaderView.ResizeMode.ResizeToContents)
        self._files.setSortingEnabled(True)
        self._files.sortByColumn(0, Qt.SortOrder.AscendingOrder)
        self._files.activated.connect(self._open)
        self._places = QListWidget()
        for place in places:
            item = QListWidgetItem(place["title"])
            item.setToolTip(place["path"])
            item.setData(Qt.ItemDataRole.UserRole, place["path"])
            self._places.addItem(item)
        self._places.currentItemChanged.connect(self._show)
        parts = QSplitter()
        parts.addWidget(self._places)
        parts.addWidget(self._files)
        parts.setSizes([220, 680])
        self.setCentralWidget(parts)
        self._places.setCurrentRow(0)

    def _show(self, item: QListWidgetItem | None) -> None:
        if item is None:
            return
        path = item.data(Qt.ItemDataRole.UserRole)
        self._files.setRootIndex(self._model.setRootPath(path))
        self.statusBar().showMessage(path)

    def _open(self, index: QModelIndex) -> None:
        path = Path(self._model.filePath(index))
        if path.is_dir():
            return
        command = command_for(path)
        if command is None or shutil.which(command[0]) is None:
            self.statusBar().showMessage(f"No program here opens {path.name}; JupyterLab may.")
            return
        QProcess.startDetached(command[0], command[1:], str(path.parent))
        self.statusBar().showMessage(f"Opening {path.name} with {' '.join(command[:-1])} …")


def main() -> int:
    """Show the window; returns the exit code."""
    places = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    application = QApplication(sys.argv[:1])
    application.setApplicationName("Data")
    application.setWindowIcon(QIcon(str(Path(__file__).with_name("icons") / "data.xpm")))
    window = DataWindow(places)
    window.show()
    code: int = application.exec()
    return code


if __name__ == "__main__":
    sys.exit(main())
