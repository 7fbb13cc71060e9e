package journal

import (
	"os"

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

// Collected reports whether SetArtifacts was called.
func (e *Entry) Collected() bool { return e.collected }

// Artifacts returns what SetArtifacts has noted.
func (e *Entry) Artifacts() []api.Artifact { return e.artifacts }
