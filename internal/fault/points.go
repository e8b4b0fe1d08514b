package fault

// The points, in the order of an upgrade. "Parent" is the generation that serves,
// "child" the one that is to replace it.
const (
	BeforeFork        = "before-fork"        // parent, internal/upgrade/upgrade.go: nothing has been done yet
	Told              = "told"               // parent, internal/upgrade/upgrade.go: the child's bootstrap message is there, and there is no child yet
	AfterFork         = "after-fork"         // child, start.go: it catches signals, and has done nothing else
	BeforeDescriptors = "before-descriptors" // child, internal/upgrade/upgrader.go: the bootstrap message has not been read
	Configuration     = "configuration"      // child, start.go: it knows its parent, and checks the configuration
	Listen            = "listen"             // child, start.go: before it claims its sockets
	BeforeReady       = "before-ready"       // child, engine/ready.go: all groups are being accepted on, nobody knows yet
	OnProbation       = "on-probation"       // child, probation.go: it serves beside its parent
	PIDWritten        = "pid-written"        // child, engine/ready.go: the PID file names it, its parent has not been told
	Reported          = "reported"           // child, internal/upgrade/upgrader.go: its report says that it is ready, its parent has not been replaced
	TookOver          = "took-over"          // child, engine/ready.go: its parent has been replaced, the state file is the old one
	HandingOver       = "handing-over"       // child, internal/handover: it has a connection, and has not answered
	Taking            = "taking"             // child, internal/handover: it is about to say that it takes a connection
	Taken             = "taken"              // child, internal/handover: it has said so, and has not used the connection
	PassingOn         = "passing-on"         // parent, internal/engine/transfer.go: older generations still move connections to it
	Draining          = "draining"           // parent, engine/drain.go: it accepts nothing any more
)

// Dir is the environment variable that names the directory in which a test asks.
const Dir = "GOZD_FAULT_DIR"

// DiskFull is the file in the directory with which replacing a file fails for want of room.
const DiskFull = "disk-full"
