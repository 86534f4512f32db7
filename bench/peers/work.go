package main

import (
	"fmt"
	"runtime/debug"
	"strings"
)

// payloadSize is what each task carries, in bytes.
const payloadSize = 200

// payload returns {"n":i,"pad":"..."} of payloadSize.
func payload(i int) []byte { return fmt.Appendf(nil, `{"n":%d,"pad":"%s"}`, i, padding(i)) }

// padding fills a payload up to its size.
func padding(i int) string {
	return strings.Repeat("x", payloadSize-len(fmt.Sprintf(`{"n":%d,"pad":""}`, i)))
}

// result is what each task's result says, as text and as an object.
var (
	result       = []byte(`{"ok":true}`)
	resultObject = map[string]bool{"ok": true}
)

// versionOf returns the version of a module that this program is built with.
func versionOf(module string) string {
	info, ok := debug.ReadBuildInfo()
	if ok {
		for _, dep := range info.Deps {
			if dep.Path == module {
				return strings.TrimPrefix(dep.Version, "v")
			}
		}
	}
	return "(unknown version)"
}
