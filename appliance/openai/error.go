package openai

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
)

// Error is the body of a failure. Clients need all four keys, and a Code that
// is a string or null, never a number.
type Error struct {
	Message string  `json:"message"`
	Type    string  `json:"type"` // such as "invalid_request_error", "server_error"
	Param   *string `json:"param"`
	Code    *string `json:"code"`
}

// ErrorResponse wraps an Error, as a response and as the last event of a broken stream.
type ErrorResponse struct {
	Error Error `json:"error"`
}

// FieldError says which field of a request is wrong and what to do about it.
// Param is its dotted path, such as "messages[0].role"; it is empty when the
// whole body is meant.
type FieldError struct {
	Param   string
	Message string
}

func (e *FieldError) Error() string { return e.Message }

// Unmarshal decodes a request body into v. Its error is a *FieldError.
func Unmarshal(data []byte, v any) error {
	if len(bytes.TrimSpace(data)) == 0 {
		return &FieldError{Message: "The request has no body; send a JSON object."}
	}
	return fieldError(json.Unmarshal(data, v))
}

// fieldError turns an error of encoding/json into one that names the field.
func fieldError(err error) error {
	if err == nil {
		return nil
	}
	if field, ok := errors.AsType[*FieldError](err); ok {
		return field
	}
	if wrong, ok := errors.AsType[*json.UnmarshalTypeError](err); ok {
		return &FieldError{
			Param:   wrong.Field,
			Message: fmt.Sprintf("Invalid type for '%s': expected %s, but got %s instead.", orBody(wrong.Field), jsonType(wrong.Type.String()), wrong.Value),
		}
	}
	if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
		return &FieldError{Message: fmt.Sprintf("The body of the request is not valid JSON: %s (at byte %d).", syntax.Error(), syntax.Offset)}
	}
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		return &FieldError{Message: "The body of the request is not valid JSON: it ends too early."}
	}
	return &FieldError{Message: "The body of the request is not valid JSON: " + err.Error()}
}

// under returns err with its path put below parent.
func under(err error, parent string) error {
	if err == nil {
		return nil
	}
	field, ok := errors.AsType[*FieldError](fieldError(err))
	if !ok {
		return err
	}
	param := parent
	if field.Param != "" {
		param += "." + field.Param
	}
	message := field.Message
	if old := "'" + orBody(field.Param) + "'"; strings.Contains(message, old) {
		message = strings.Replace(message, old, "'"+param+"'", 1)
	}
	return &FieldError{Param: param, Message: message}
}

func orBody(param string) string {
	if param == "" {
		return "the body"
	}
	return param
}

// jsonType names a Go type in JSON's words.
func jsonType(goType string) string {
	goType = strings.TrimLeft(goType, "*")
	switch {
	case strings.HasPrefix(goType, "int"), strings.HasPrefix(goType, "uint"):
		return "an integer"
	case strings.HasPrefix(goType, "float"):
		return "a number"
	case goType == "string":
		return "a string"
	case goType == "bool":
		return "a boolean"
	case strings.HasPrefix(goType, "[]"), strings.HasSuffix(goType, ".Messages"):
		return "an array"
	}
	return "an object"
}

// kind names the JSON type of a value for messages.
func kind(data []byte) string {
	data = bytes.TrimSpace(data)
	if len(data) == 0 {
		return "nothing"
	}
	switch data[0] {
	case '"':
		return "string"
	case '{':
		return "object"
	case '[':
		return "array"
	case 't', 'f':
		return "bool"
	case 'n':
		return "null"
	}
	return "number"
}

func index(i int) string { return "[" + strconv.Itoa(i) + "]" }

func isNull(data []byte) bool { return string(bytes.TrimSpace(data)) == "null" }
