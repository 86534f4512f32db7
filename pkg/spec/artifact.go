package spec

// Artifact is a file that an attempt left. Its bytes lie in the run's output store, for as long as that keeps them.
type Artifact struct {
	// Path is relative to the artifacts directory, with slashes; "" where Omitted speaks of several files.
	Path string
	// Size is what the file had, Stored names what was stored of it: all, or nothing.
	Size   int64
	Stored Blob
	// Omitted says why it was not stored; "" when it was.
	Omitted string
}

// What is kept of the files of one attempt, unless a worker's options say otherwise.
const (
	ArtifactBytesDefault  = 64 << 20  // of one file
	ArtifactsBytesDefault = 256 << 20 // of all
	ArtifactsDefault      = 200       // files
)

// ArtifactsMax is how many artifacts a result may list, whatever options say.
const ArtifactsMax = 1000
