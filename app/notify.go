package app

import "lightspeed/notify/discord"

// checkDiscordAPI refuses an address that Discord's calls cannot go to. Empty: they go to Discord.
func checkDiscordAPI(address string) error {
	if address == "" {
		return nil
	}
	if err := discord.CheckAPI(address); err != nil {
		return Usagef("leave it out to call Discord itself", "%w", err)
	}
	return nil
}
