package api

import (
	_ "embed"
	"encoding/json"
	"net/http"
	"sync"

	"go.yaml.in/yaml/v4"
)

//go:embed openapi.yaml
var openapiYAML []byte

// Document returns the OpenAPI 3.1 document as JSON.
var Document = sync.OnceValues(func() ([]byte, error) {
	var document any
	if err := yaml.Unmarshal(openapiYAML, &document); err != nil {
		return nil, err
	}
	return json.Marshal(document)
})

func (c *call) document() error {
	text, err := Document()
	if err != nil {
		return err
	}
	c.w.Header().Set("Content-Type", "application/json")
	c.w.WriteHeader(http.StatusOK)
	_, _ = c.w.Write(text) // a client that has gone needs no answer
	return nil
}
