// Package fault lets a test kill this process at a chosen place in its own code. In the program that is shipped
// it does nothing at all; built with `-tags faults`, the process ends as by kill -9 where the environment says:
//
//	LIGHTSPEED_FAULT=spool.named      the first time that point is reached
//	LIGHTSPEED_FAULT=spool.named:3    the third time
//
// Package crash holds the tests. It goes through every point that stands in the code.
package fault
