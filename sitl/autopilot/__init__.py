"""PX4 v1.17's behaviour: modes, arming, mission engine, return, fences, failsafes, commands. Speaks in values;
`sitl.wire` puts them on links.
"""
