package peft

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strings"
)

// config is what is read of adapter_config.json (peft's LoraConfig).
type config struct {
	r            float64
	alpha        float64
	rslora       bool
	rankPattern  []pattern // in the file's order: the first that fits counts
	alphaPattern []pattern
}

// pattern gives the modules whose path it matches a value of their own.
type pattern struct {
	match *regexp.Regexp
	value float64
}

// Names in adapter_config.json that mean something GGUF cannot express when
// they are set, and what that is.
var unsupported = map[string]string{
	"alora_invocation_tokens": "activated LoRA",
	"arrow_config":            "Arrow routing",
	"bias":                    "trained biases",
	"kasa_config":             "KaSA",
	"layer_replication":       "replicated layers",
	"lora_bias":               "a bias on B",
	"megatron_config":         "Megatron's parallel layers",
	"modules_to_save":         "modules trained in full",
	"monteclora_config":       "MonteCLoRA",
	"target_parameters":       "parameters outside linear layers",
	"trainable_token_indices": "trained embeddings",
	"use_bdlora":              "block-diagonal LoRA",
	"use_dora":                "DoRA",
	"use_qalora":              "QALoRA",
	"velora_config":           "VeLoRA",
	"fan_in_fan_out":          "transposed weights (fan_in_fan_out)",
}

// Starts of A and B that leave the base's weights alone; others, such as PiSSA,
// change them, so that the adapter fits a base that nobody has.
var plainStarts = []string{"true", "false", "null", `"gaussian"`, `"eva"`, `"orthogonal"`}

func parseConfig(raw []byte) (*config, error) {
	members, err := object(raw)
	if err != nil {
		return nil, err
	}
	c := &config{r: 8, alpha: 8} // LoraConfig's defaults
	kind := ""
	for _, m := range members {
		v := strings.TrimSpace(string(m.value))
		switch m.key {
		case "peft_type":
			err = json.Unmarshal(m.value, &kind)
		case "r":
			err = json.Unmarshal(m.value, &c.r)
		case "lora_alpha":
			err = json.Unmarshal(m.value, &c.alpha)
		case "use_rslora":
			err = json.Unmarshal(m.value, &c.rslora)
		case "rank_pattern":
			c.rankPattern, err = patterns(m.value)
		case "alpha_pattern":
			c.alphaPattern, err = patterns(m.value)
		case "init_lora_weights":
			if !slices.Contains(plainStarts, v) {
				err = fmt.Errorf("an adapter that began as %s belongs to a base with changed weights; save it with path_initial_model_for_weight_conversion", shorten(v))
			}
		default:
			what, known := unsupported[m.key]
			if !known && strings.HasPrefix(m.key, "use_") {
				what, known = m.key, true
			}
			if known && isSet(v) {
				err = fmt.Errorf("%s cannot be expressed in a GGUF adapter", what)
			}
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", shorten(m.key), err)
		}
	}
	if kind != "LORA" {
		return nil, fmt.Errorf("peft_type is %q; LORA is needed", shorten(kind))
	}
	return c, nil
}

// isSet says whether a value asks for something.
func isSet(v string) bool {
	return !slices.Contains([]string{"null", "false", `"none"`, "[]", "{}", `""`, "0"}, v)
}

func patterns(raw json.RawMessage) ([]pattern, error) {
	if string(raw) == "null" {
		return nil, nil
	}
	members, err := object(raw)
	if err != nil {
		return nil, err
	}
	var out []pattern
	for _, m := range members {
		// As peft.utils.get_pattern_key: from the start or behind a point, to the end.
		match, err := regexp.Compile(`^(.*\.)?(` + m.key + `)$`)
		if err != nil {
			return nil, fmt.Errorf("the pattern %q: %w", shorten(m.key), err)
		}
		p := pattern{match: match}
		if err := json.Unmarshal(m.value, &p.value); err != nil {
			return nil, fmt.Errorf("%q: %w", shorten(m.key), err)
		}
		out = append(out, p)
	}
	return out, nil
}

// valueFor is what the patterns say about a module, or else the default.
func valueFor(patterns []pattern, module string, or float64) float64 {
	for _, p := range patterns {
		if p.match.MatchString(module) {
			return p.value
		}
	}
	return or
}

// scale of B·A for a module: alpha/rank, or alpha/√rank for rsLoRA
// (arXiv:2312.03732).
func (c *config) scale(module string, rank int) (float64, error) {
	if want := valueFor(c.rankPattern, module, c.r); want != float64(rank) {
		return 0, fmt.Errorf("%s has rank %d, and the configuration says %g", shorten(module), rank, want)
	}
	by := float64(rank)
	if c.rslora {
		by = math.Sqrt(by)
	}
	s := valueFor(c.alphaPattern, module, c.alpha) / by
	if math.IsNaN(s) || math.IsInf(s, 0) || s == 0 {
		return 0, errors.New("lora_alpha is 0 or no number for " + shorten(module) + ": the adapter would do nothing there")
	}
	return s, nil
}

// written is the adapter_config.json that Export writes: what PEFT needs and no
// more. There is no name of the base, which may hold a path.
type written struct {
	AlphaPattern   map[string]float64 `json:"alpha_pattern"`
	BaseModel      *string            `json:"base_model_name_or_path"`
	Bias           string             `json:"bias"`
	FanInFanOut    bool               `json:"fan_in_fan_out"`
	InferenceMode  bool               `json:"inference_mode"`
	InitWeights    bool               `json:"init_lora_weights"`
	Alpha          float64            `json:"lora_alpha"`
	Dropout        float64            `json:"lora_dropout"`
	ModulesToSave  []string           `json:"modules_to_save"`
	Type           string             `json:"peft_type"`
	R              int                `json:"r"`
	RankPattern    map[string]int     `json:"rank_pattern"`
	TargetModules  []string           `json:"target_modules"`
	Task           string             `json:"task_type"`
	UseDora        bool               `json:"use_dora"`
	UseRslora      bool               `json:"use_rslora"`
	ExcludeModules []string           `json:"exclude_modules"`
}
