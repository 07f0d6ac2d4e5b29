package train

import (
	"cloister/llama/chat"
)

// Choice is a hyper-parameter with the reason for its value.
type Choice struct {
	Name   string `json:"name"`
	Value  string `json:"value"`
	Reason string `json:"reason"`
}

// Example is one conversation to learn from. Row is where it came from, for messages.
type Example struct {
	Row      int            `json:"row"`
	Messages []chat.Message `json:"messages"`
	// Rejected is the answer of a preference pair that is not preferred, in place
	// of the last message; empty: the example is no pair.
	Rejected string `json:"rejected,omitempty"`
	// Desirable says whether the last answer is as it should be; nil: nobody said.
	Desirable *bool `json:"desirable,omitempty"`
}

// Request is a training job in full. Examples travel through the worker's
// pipe and are never written to a file; WorkDir holds checkpoints only.
type Request struct {
	JobID           string          `json:"job_id"`
	BasePath        string          `json:"base_path"` // the GGUF to train on, which is the one that serves
	WorkDir         string          `json:"work_dir"`  // checkpoints; a job that finds one here resumes from it
	OutPath         string          `json:"out_path"`  // where the finished adapter goes, GGUF
	Threads         int             `json:"threads"`   // 0: all cores
	Train           []Example       `json:"train"`
	Valid           []Example       `json:"valid,omitempty"` // none: the last epoch is kept
	Hyperparameters Hyperparameters `json:"hyperparameters"`
	// InitPath is an adapter to continue from; empty: a new one. Rank, alpha and
	// targets are the adapter's then.
	InitPath string `json:"init_path,omitempty"`
	// Device that trains: "cpu", "cuda", "cuda:N" or "auto", a card if one is there
	// and large enough; empty: the CPU. It is no part of what the job is: a job
	// may resume on another device.
	Device string `json:"device,omitempty"`
	// DeviceMemory is the bytes that the job may take on the card; 0 means those
	// that are free there.
	DeviceMemory int64 `json:"device_memory,omitempty"`
	// Offload lets inputs of layers wait on the host rather than on the card, where it saves anything.
	Offload bool `json:"offload_activations,omitempty"`
	// Memory is the bytes that the job may take, the mapped model included; 0
	// means those that are free when it starts.
	Memory int64 `json:"memory,omitempty"`
	// TeacherPath is a larger GGUF model with the same vocabulary whose likeliest
	// tokens are learnt too; empty: none. The method is "supervised" then.
	TeacherPath string `json:"teacher_path,omitempty"`
	// TeacherAdapter is an adapter of the teacher's, a GGUF file of one rank; empty: none.
	TeacherAdapter string `json:"teacher_adapter,omitempty"`
	// CheckpointSteps is the number of optimiser steps between checkpoints; 0
	// means 25. There is one at the end of each epoch as well.
	CheckpointSteps int `json:"checkpoint_steps,omitempty"`
	// DumpPath is a safetensors file that the first step writes: its loss and
	// gradients before clipping, and its tokens (dump.go). Empty: none.
	DumpPath string `json:"dump_path,omitempty"`
}

// Event reports progress. Kind says which fields are set.
type Event struct {
	// Kind is "info" or "warning" (Message only), "choice" (Choice), "step"
	// (Step, TotalSteps, Epoch, Loss, Accuracy, LearningRate, GradNorm,
	// TokensPerSecond, TokensDone, SecondsLeft), "epoch" (the same and
	// ValidLoss, ValidAccuracy), "evaluation" (within an epoch: the same as
	// "epoch", with the loss of the epoch so far) or "checkpoint" (Step, Path).
	Kind    string  `json:"kind"`
	Message string  `json:"message"`
	Choice  *Choice `json:"choice,omitempty"`

	Step            int      `json:"step,omitempty"` // from 1
	TotalSteps      int      `json:"total_steps,omitempty"`
	Epoch           int      `json:"epoch,omitempty"` // from 1
	Epochs          int      `json:"epochs,omitempty"`
	Loss            float64  `json:"loss,omitempty"`     // mean of -ln p over the step's (epoch's) trained tokens
	Accuracy        float64  `json:"accuracy,omitempty"` // share of trained tokens that were the likeliest
	ValidLoss       *float64 `json:"valid_loss,omitempty"`
	ValidAccuracy   *float64 `json:"valid_accuracy,omitempty"`
	LearningRate    float64  `json:"learning_rate,omitempty"`
	GradNorm        float64  `json:"grad_norm,omitempty"` // before clipping
	TokensPerSecond float64  `json:"tokens_per_second,omitempty"`
	TokensDone      int64    `json:"tokens_done,omitempty"`
	SecondsLeft     float64  `json:"seconds_left,omitempty"`
	// Rewards and ValidRewards are set by preference learning, with Loss and
	// ValidLoss; Accuracy is theirs then.
	Rewards      *Rewards `json:"rewards,omitempty"`
	ValidRewards *Rewards `json:"valid_rewards,omitempty"`
	// KL and ValidKL are set when a teacher is learnt from: the mean of
	// KL(teacher‖student) over the trained tokens.
	KL      *float64 `json:"kl,omitempty"`
	ValidKL *float64 `json:"valid_kl,omitempty"`
	Path    string   `json:"path,omitempty"`
	// Device says on what the job trains, in an "info" event when it begins:
	// CPUDevice or the name of a card.
	Device string `json:"device,omitempty"`
}

// EpochStat is one point of the curves.
type EpochStat struct {
	Epoch     int      `json:"epoch"`
	Step      int      `json:"step"`
	TrainLoss float64  `json:"train_loss"`
	ValidLoss *float64 `json:"valid_loss,omitempty"`
}

// Result of a finished run.
type Result struct {
	OutPath       string          `json:"out_path"`
	Steps         int             `json:"steps"`
	TrainedTokens int64           `json:"trained_tokens"` // tokens of all examples times the epochs run
	BestEpoch     int             `json:"best_epoch"`     // the epoch in which, or at whose end, the adapter was kept
	Best          EpochStat       `json:"best"`           // when the adapter was kept
	StoppedEarly  bool            `json:"stopped_early"`
	Curve         []EpochStat     `json:"curve"`
	Resolved      Hyperparameters `json:"resolved"`
	Seconds       float64         `json:"seconds"`
	PeakBytes     int64           `json:"peak_bytes"` // resident memory at its highest
	Checkpoints   []Checkpoint    `json:"checkpoints,omitempty"`
}

// Checkpoint is an adapter kept at the end of an epoch.
type Checkpoint struct {
	Step      int      `json:"step"`
	Epoch     int      `json:"epoch"`
	Path      string   `json:"path"`
	TrainLoss float64  `json:"train_loss"`
	ValidLoss *float64 `json:"valid_loss,omitempty"`
}
