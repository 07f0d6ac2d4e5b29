package main

import (
	"path/filepath"
	"strings"

	"github.com/urfave/cli/v2"

	"cloister/appliance/admin"
	"cloister/lora/train"
)

const chosen = "chosen for you"

// trainDeviceFlag says where to train.
func trainDeviceFlag(name string) cli.Flag {
	return &cli.StringFlag{Name: name, Usage: "train on `DEVICE`: cpu, cuda, cuda:N, or auto, a card if there is one that is large enough", DefaultText: train.AnyDevice}
}

// hyperFlags are the hyper-parameters of tune and estimate, in the order in
// which a reader may want to know of them.
func hyperFlags() []cli.Flag {
	return append(methodFlags(), []cli.Flag{
		&cli.IntFlag{Name: "epochs", Usage: "passes over the data: `N`", DefaultText: chosen},
		&cli.IntFlag{Name: "batch-size", Usage: "examples in one step: `N`; more make a step steadier and an epoch have fewer", DefaultText: chosen},
		&cli.IntFlag{Name: "batch-tokens", Usage: "fill batches up to `N` tokens instead, for examples of very different lengths", DefaultText: "off"},
		&cli.IntFlag{Name: "accumulate", Usage: "learn from `N` batches in one step; memory does not grow with it", DefaultText: "1"},
		&cli.Float64Flag{Name: "lr", Usage: "learning rate `X`; a quarter of it when a run diverges", DefaultText: chosen},
		&cli.Float64Flag{Name: "lr-multiplier", Usage: "`X` times the learning rate that would be chosen", DefaultText: "1"},
		&cli.Float64Flag{Name: "lora-plus", Usage: "LoRA+: the matrix B learns `X` times as fast as A; 16 is usual, with a lower --lr", DefaultText: "off"},
		&cli.StringFlag{Name: "schedule", Usage: "`NAME` of the learning rate's course: cosine, cosine_with_restarts, linear or constant", DefaultText: chosen},
		&cli.IntFlag{Name: "cycles", Usage: "`N` descents of cosine_with_restarts", DefaultText: chosen},
		&cli.IntFlag{Name: "warmup-steps", Usage: "`N` steps in which the learning rate rises, -1 for none", DefaultText: chosen},
		&cli.Float64Flag{Name: "warmup-ratio", Usage: "the same as a share `X` of all steps, such as 0.05", DefaultText: chosen},
		&cli.IntFlag{Name: "rank", Usage: "rank `N` of the adapter: how much it can hold, and its size", DefaultText: chosen},
		&cli.Float64Flag{Name: "alpha", Usage: "the adapter's scale is `X` / rank", DefaultText: chosen},
		&cli.BoolFlag{Name: "rslora", Usage: "make the scale alpha / √rank, so that a high rank learns as strongly as a low one"},
		&cli.Float64Flag{Name: "dropout", Usage: "set a share `X` of the adapter's inputs to zero at random, such as 0.05, against learning by heart", DefaultText: "off"},
		&cli.StringFlag{Name: "targets", Usage: "matrices to adapt: all-linear, attention, or a `LIST` such as attn_q,attn_v", DefaultText: chosen},
		&cli.Float64Flag{Name: "neftune", Usage: "NEFTune: noise of strength `X` on the inputs while training, such as 5; answers often get better and longer", DefaultText: "off"},
		&cli.Float64Flag{Name: "weight-decay", Usage: "weight decay `X` of AdamW", DefaultText: "off"},
		&cli.Float64Flag{Name: "beta1", Usage: "AdamW's memory `X` of gradients", DefaultText: "0.9"},
		&cli.Float64Flag{Name: "beta2", Usage: "AdamW's memory `X` of their squares", DefaultText: "0.999"},
		&cli.Float64Flag{Name: "epsilon", Usage: "AdamW's `X` against division by zero", DefaultText: "1e-08"},
		&cli.Float64Flag{Name: "max-grad-norm", Usage: "gradients are clipped to the norm `X`", DefaultText: "1"},
		&cli.IntFlag{Name: "max-length", Usage: "longer examples are cut after `N` tokens", DefaultText: chosen},
		&cli.IntFlag{Name: "eval-steps", Usage: "measure the validation loss every `N` steps too", DefaultText: "each epoch"},
		&cli.IntFlag{Name: "patience", Usage: "stop after `N` evaluations without a better validation loss, -1 for never", DefaultText: chosen},
		&cli.IntFlag{Name: "keep-checkpoints", Usage: "keep the adapters of the last `N` epochs as models", DefaultText: "3"},
		&cli.StringFlag{Name: "precision", Usage: "`NAME` of the arithmetic of products: bf16, bf16x3 (nearly exact) or float32", DefaultText: "bf16 where the CPU has it, bf16x3 for gemma3"},
		&cli.BoolFlag{Name: "no-shuffle", Usage: "keep the order of the examples, so that batches are neighbours in the file"},
		&cli.Int64Flag{Name: "seed", Usage: "`N`: the same number gives the same adapter"},
	}...)
}

// methodFlags say from what training learns, and how.
func methodFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "method", Usage: "`NAME` of the way to learn: supervised from answers, dpo from preference pairs, kto from answers judged one by one", DefaultText: "supervised"},
		&cli.Float64Flag{Name: "beta", Usage: "dpo and kto: how strongly the model is held where it began, `X`", DefaultText: "0.1"},
		&cli.Float64Flag{Name: "label-smoothing", Usage: "dpo: the share `X` of pairs that may be the wrong way round", DefaultText: "off"},
		&cli.Float64Flag{Name: "desirable-weight", Usage: "kto: desirable answers count `X` times", DefaultText: chosen},
		&cli.Float64Flag{Name: "undesirable-weight", Usage: "kto: undesirable answers count `X` times", DefaultText: chosen},
	}
}

// teacherFlags say from which other model tune learns.
func teacherFlags() []cli.Flag {
	return []cli.Flag{
		&cli.StringFlag{Name: "teacher", Usage: "learn from a larger or a tuned `MODEL` with the same tokens too: its name, or the GGUF file of a base", DefaultText: "none"},
		&cli.Float64Flag{Name: "distill-temperature", Usage: "soften what the teacher finds likely by `X`", DefaultText: "1"},
		&cli.Float64Flag{Name: "distill-alpha", Usage: "share `X` of the answers themselves in what is learnt, the rest is the teacher's; -1 for none", DefaultText: "0.5"},
		&cli.IntFlag{Name: "top-k", Usage: "look at the `N` likeliest tokens of the teacher", DefaultText: "32"},
	}
}

// learnFrom reads teacherFlags. The appliance may run in another folder, so a
// path becomes absolute.
func learnFrom(c *cli.Context, in *admin.TrainOn) (err error) {
	h := &in.Hyperparameters
	h.Temperature, h.DistillAlpha = c.Float64("distill-temperature"), c.Float64("distill-alpha")
	if c.IsSet("distill-temperature") && !(h.Temperature > 0) {
		return misused(c, "--distill-temperature is %g; it must be above 0", h.Temperature)
	}
	if h.TopK, err = positive(c, "top-k"); err != nil {
		return err
	}
	if in.Teacher = c.String("teacher"); isModelFile(in.Teacher) {
		in.Teacher, err = filepath.Abs(in.Teacher)
	}
	return err
}

// hyperparameters reads hyperFlags; 0 means "choose for me". What the values
// may be, the trainer says.
func hyperparameters(c *cli.Context) (train.Hyperparameters, error) {
	h := train.Hyperparameters{
		RankStabilized: c.Bool("rslora"), NoShuffle: c.Bool("no-shuffle"), Schedule: c.String("schedule"), Precision: c.String("precision"),
		Method: c.String("method"), LabelSmoothing: c.Float64("label-smoothing"),
		Dropout: c.Float64("dropout"), NoiseAlpha: c.Float64("neftune"), WeightDecay: c.Float64("weight-decay"),
		WarmupSteps: c.Int("warmup-steps"), Patience: c.Int("patience"), Seed: c.Int64("seed"),
	}
	for flag, to := range map[string]*int{
		"epochs": &h.Epochs, "batch-size": &h.BatchSize, "batch-tokens": &h.BatchTokens, "accumulate": &h.Accumulation, "cycles": &h.Cycles,
		"rank": &h.Rank, "max-length": &h.MaxLength, "eval-steps": &h.EvalSteps, "keep-checkpoints": &h.KeepCheckpoints,
	} {
		n, err := positive(c, flag)
		if err != nil {
			return h, err
		}
		*to = n
	}
	for flag, to := range map[string]*float64{
		"lr": &h.LearningRate, "lr-multiplier": &h.LearningRateMultiplier, "lora-plus": &h.LoraPlusRatio, "warmup-ratio": &h.WarmupRatio,
		"beta": &h.Beta, "desirable-weight": &h.DesirableWeight, "undesirable-weight": &h.UndesirableWeight,
		"alpha": &h.Alpha, "beta1": &h.Beta1, "beta2": &h.Beta2, "epsilon": &h.Epsilon, "max-grad-norm": &h.MaxGradNorm,
	} {
		if *to = c.Float64(flag); c.IsSet(flag) && !(*to > 0) {
			return h, misused(c, "--%s is %g; it must be above 0", flag, *to)
		}
	}
	if targets := c.String("targets"); targets != "" {
		for name := range strings.SplitSeq(targets, ",") {
			h.Targets = append(h.Targets, strings.TrimSpace(name))
		}
	}
	return h, nil
}

// positive returns a whole number that must be 1 or more if it is given, 0 if not.
func positive(c *cli.Context, flag string) (int, error) {
	n := c.Int(flag)
	if n < 1 && (n != 0 || c.IsSet(flag)) {
		return 0, misused(c, "--%s is %d; it must be 1 or more", flag, n)
	}
	return n, nil
}
