package admin

// childVariable, when it is set, makes the test binary serve admin and nothing else: the tests kill it.
const childVariable = "LIGHTSPEED_ADMIN_TEST_CHILD"

func serveAsChild(string) int { return 0 }
