package journal

import (
	"os"
	"slices"

	"lightspeed/api"
)

const artifactsFolder = "artifacts" // copies of what the attempt keeps

// ArtifactsFolder makes the folder for copies of what the attempt keeps, and returns it.
func (e *Entry) ArtifactsFolder() (string, error) {
	dir := e.file(artifactsFolder)
	return dir, os.MkdirAll(dir, 0o700)
}

// SetArtifacts notes what the attempt keeps. The copy of each is the file with its SHA-256 in ArtifactsFolder.
func (e *Entry) SetArtifacts(list []api.Artifact) error {
	e.artifacts, e.collected = list, true
	_, err := e.records.add(record{Artifacts: &list})
	return err
}

// HandedIn notes that an artifact is done with: it is no longer one of Artifacts.
func (e *Entry) HandedIn(path string) error {
	e.drop(path)
	_, err := e.records.add(record{HandedIn: path})
	return err
}

// drop takes an artifact off the list, of which somebody may be going through an earlier one.
func (e *Entry) drop(path string) {
	e.artifacts = slices.DeleteFunc(slices.Clone(e.artifacts), func(one api.Artifact) bool { return one.Path == path })
}

// Collected reports whether SetArtifacts was called.
func (e *Entry) Collected() bool { return e.collected }

// Artifacts returns what SetArtifacts has noted, without those that are handed in.
func (e *Entry) Artifacts() []api.Artifact { return e.artifacts }
