"""Output for people and programs: this package only renders values from the layers below."""
