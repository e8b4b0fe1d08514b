package gozd_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// overlapTests are those of each section of docs/overlap.md, by the folder that they are in: what the section says, they try with real
// processes and clients, as far as that can be tried.
var overlapTests = map[string]map[string]string{
	"Log files and their rotation": {
		"internal/e2e/hosts":     "TestLogrotate",
		"internal/e2e/operating": "TestReopenReachesEveryGeneration",
		"internal/e2e/programs":  "TestReopenAsksEachGenerationOnce TestOwnRotation",
	},
	"Connection pools": {"internal/e2e/programs": "TestPoolOfAll TestPoolOfHalf TestProgramWithoutTheWayBack"},
	"Migrations": {
		"internal/e2e/programs":  "TestMigrations TestMigrationAtARollback TestProgramRefusesAnUpgrade",
		"internal/e2e/operating": "TestDryRun TestDryRunFails",
	},
	"Tickers, queues and cron jobs": {
		".": "TestOnly",
		"internal/e2e/programs": "TestOnlyOverUpgradesAndKills TestOnlyOverRollbacks TestOnlyAfterProbation TestOnlyWaitsForARun " +
			"TestOnlyIsFreedByTheKernel TestOnlyAtAResume TestOnlyLeavesNothing TestOnlyOfTheServicesUser",
	},
	"Counters": {"internal/e2e/operating": "TestCountsGoOn TestTotalsGoOn", "internal/e2e/recipes": "TestPrometheus"},
	"Ports of its own": {
		"internal/e2e/programs": "TestPortOfItsOwn",
		"internal/e2e/pages":    "TestTroubleshooting",
	},
	"Child processes": {
		"internal/e2e/files":    "TestProgramsInheritNothing",
		"internal/e2e/programs": "TestChildProcesses TestOneWorker TestProgramReapsAll",
		"internal/e2e/systemd":  "TestProgramsEnd",
		"internal/e2e/watched":  "TestPID1ReapsOrphans",
	},
	"State in memory": {
		".":                     "TestManualReady",
		"internal/e2e/programs": "TestChatOverManyUpgrades TestHandlersHandTheirStateOver TestBoltCountsOverUpgrades TestBoltFileMovesWhileRequestsArrive",
		"internal/e2e/recipes":  "TestRecipes",
		"internal/e2e/systemd":  "TestSocketUnit TestStoreRestart",
	},
	"Answers that do not end: server-sent events, long polling": {
		"httpx":                  "TestDraining TestDrainingIsSpread TestDrainingAfterResume TestDrainingElsewhere",
		"internal/e2e/protocols": "TestEventsOverUpgrades",
	},
	"Datagrams: UDP, DNS, QUIC, HTTP/3": {
		"internal/e2e/protocols": "TestDatagrams TestDatagramsOfAFailedUpgrade TestDatagramsAfterAResume",
		"internal/e2e/recipes":   "TestNames",
		"internal/e2e/systemd":   "TestDatagramUnit TestDatagramStore",
	},
	"gRPC": {
		"grpcx":                  "TestUpgradesFailNoCall TestUpgradesByHTTPXFailNoCall TestServesAgainAfterACrash TestResume TestStopUnderNewClients",
		"internal/e2e/protocols": "TestUnencryptedHTTP2Moves",
	},
	"Signals": {"internal/e2e/programs": "TestProgramReturnsAtTERM TestProgramHandlesHUP TestProgramExitsAtHUP TestProgramIgnoresHUP TestProgramResetsSignals"},
	"os.Exit, log.Fatal, panic": {
		"internal/e2e/faults":   "TestLastWordsOfASuccessor",
		"internal/e2e/programs": "TestProcessEndsByItself TestProcessEndsAfterStandby",
		"internal/e2e/systemd":  "TestProgramsEnd",
	},
}

var (
	section  = regexp.MustCompile(`(?m)^## (.*)$`)
	testFunc = regexp.MustCompile(`(?m)^func (Test\w+)\(t `)
)

// Each section of docs/overlap.md has tests, and all of them are there.
func TestPolicyOverlapIsTested(t *testing.T) {
	sections := make(map[string]bool)
	for _, m := range section.FindAllStringSubmatch(prose(t, filepath.FromSlash("docs/overlap.md")), -1) {
		sections[m[1]] = true
		if len(overlapTests[m[1]]) == 0 {
			t.Errorf("the section %q has no tests", m[1])
		}
	}
	for name, tests := range overlapTests {
		if !sections[name] {
			t.Errorf("there is no section %q", name)
		}
		for folder, names := range tests {
			there := testsIn(t, folder)
			for test := range strings.FieldsSeq(names) {
				if !there[test] {
					t.Errorf("section %q: there is no %s in %s", name, test, folder)
				}
			}
		}
	}
}

// testsIn are the tests of a package, on all systems.
func testsIn(t *testing.T, folder string) map[string]bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(filepath.FromSlash(folder), "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	all := make(map[string]bool)
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range testFunc.FindAllSubmatch(text, -1) {
			all[string(m[1])] = true
		}
	}
	return all
}
