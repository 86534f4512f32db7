package spec

import "fmt"

// MarshalJSON writes the id as a string of JSON that reads back the same, a lone surrogate too.
func (id TaskID) MarshalJSON() ([]byte, error) { return EncodeText(string(id)), nil }

// UnmarshalJSON reads what MarshalJSON wrote.
func (id *TaskID) UnmarshalJSON(b []byte) error {
	value, err := DecodeValue(b)
	if err != nil {
		return err
	}
	text, ok := value.(string)
	if !ok {
		return fmt.Errorf("a task id must be text, not %s", clip(string(b)))
	}
	*id = TaskID(text)
	return nil
}
