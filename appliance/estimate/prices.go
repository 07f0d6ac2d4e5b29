package estimate

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"cloister/appliance/fault"
)

// Prices is the price table, the file prices.json in the data directory. It
// is made with examples when it is not there, and never changed after that.
type Prices struct {
	Comment  string  `json:"comment"`
	Currency string  `json:"currency"`
	Cloud    []Cloud `json:"cloud"`
	// Here is what this machine costs while it trains.
	Here Here `json:"here"`
}

// Cloud is a price of training by the token.
type Cloud struct {
	Name       string  `json:"name"`
	Encoding   string  `json:"encoding"`    // one of Encodings
	PerMillion float64 `json:"per_million"` // for a million trained tokens: those of all epochs
}

// Here reckons the cost of electricity.
type Here struct {
	Watts           float64 `json:"watts"` // drawn while training
	PerKilowattHour float64 `json:"per_kilowatt_hour"`
}

// DefaultPrices are examples, to be replaced by prices that hold.
func DefaultPrices() Prices {
	return Prices{
		Comment: "Examples, as published in 2025. Prices change: edit this file. " +
			"per_million is for a million trained tokens (tokens of one epoch times epochs).",
		Currency: "USD",
		Cloud: []Cloud{
			{"gpt-4.1", "o200k_base", 25},
			{"gpt-4.1-mini", "o200k_base", 5},
			{"gpt-4o-mini", "o200k_base", 3},
			{"gpt-3.5-turbo", "cl100k_base", 8},
		},
		Here: Here{Watts: 100, PerKilowattHour: 0.15},
	}
}

// LoadPrices reads the table of a data directory, and makes it if it is not
// there.
func LoadPrices(home string) (Prices, error) {
	path := filepath.Join(home, "prices.json")
	raw, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		p := DefaultPrices()
		raw, err := json.MarshalIndent(p, "", "  ")
		if err != nil {
			return Prices{}, err
		}
		return p, os.WriteFile(path, append(raw, '\n'), 0o600)
	}
	if err != nil {
		return Prices{}, err
	}
	var p Prices
	if err := json.Unmarshal(raw, &p); err != nil {
		return Prices{}, fault.New(fault.Invalid, "", "prices.json", "The price table prices.json in the data directory does not read: %s. Correct it, or remove it to get the examples back.", err).Wrap(err)
	}
	return p, p.check()
}

func (p Prices) check() error {
	for _, c := range p.Cloud {
		if !slices.Contains(Encodings, c.Encoding) {
			return fault.New(fault.Invalid, "", "prices.json", "The price table names the encoding %q for %q; known are %v.", c.Encoding, c.Name, Encodings)
		}
		if !(c.PerMillion >= 0) {
			return fault.New(fault.Invalid, "", "prices.json", "The price of %q is %g; it must be 0 or more.", c.Name, c.PerMillion)
		}
	}
	if !(p.Here.Watts >= 0) || !(p.Here.PerKilowattHour >= 0) {
		return fault.New(fault.Invalid, "", "prices.json", "watts and per_kilowatt_hour in the price table must be 0 or more.")
	}
	return nil
}

// costs reckons what the epochs of a job cost at every line. tokens are those
// of one epoch by encoding.
func (p Prices) costs(tokens map[string]int64, epochs int, seconds float64) []Cost {
	var out []Cost
	if seconds > 0 {
		kwh := p.Here.Watts * seconds / 3.6e6
		out = append(out, Cost{
			Name: "this machine", Currency: p.Currency, Cost: kwh * p.Here.PerKilowattHour,
			Basis: fmt.Sprintf("electricity: %.3g kWh at %g", kwh, p.Here.PerKilowattHour),
		})
	}
	for _, c := range p.Cloud {
		n := tokens[c.Encoding] * int64(epochs)
		out = append(out, Cost{
			Name: c.Name, Currency: p.Currency, Tokens: n, Cost: float64(n) / 1e6 * c.PerMillion,
			Basis: fmt.Sprintf("%g for a million tokens, %d epochs", c.PerMillion, epochs),
		})
	}
	return out
}
