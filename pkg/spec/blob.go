package spec

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
)

// Digest is the SHA-256 of a blob's bytes.
type Digest [sha256.Size]byte

// String returns the digest in hexadecimal.
func (d Digest) String() string { return hex.EncodeToString(d[:]) }

// ParseDigest reads what Digest.String returns.
func ParseDigest(text string) (d Digest, err error) {
	if len(text) != hex.EncodedLen(len(d)) {
		return d, fmt.Errorf("digest %.80q: it must be %d hexadecimal digits", text, hex.EncodedLen(len(d)))
	}
	if _, err := hex.Decode(d[:], []byte(text)); err != nil {
		return d, fmt.Errorf("digest %q: %w", text, err)
	}
	return d, nil
}

// Blob names bytes by their content: what is too large for a message lies in the object store under this name, and the
// message carries the name. The zero Blob names nothing.
type Blob struct {
	Digest Digest
	Size   int64
}

// BlobOf returns the name of data.
func BlobOf(data []byte) Blob { return Blob{Digest: sha256.Sum256(data), Size: int64(len(data))} }

// IsZero reports whether b names nothing.
func (b Blob) IsZero() bool { return b == Blob{} }

// Names reports whether data is what b names.
func (b Blob) Names(data []byte) bool { return b == BlobOf(data) }

// String returns the digest and the size, for people.
func (b Blob) String() string { return fmt.Sprintf("%s (%d bytes)", b.Digest, b.Size) }
