//go:build !unix

package bus

import "os"

// lockFile only checks that the file can be written: on this system a second server on one directory is not noticed.
func lockFile(path string) (unlock func() error, err error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	return file.Close, nil
}
