"""Vehicles to fly against: the bundled simulator, cold boxes, weather, faults, and the launcher of a real PX4.

Shares no code with the controller, so that it cannot share its bugs; meets it only over MAVLink and MQTT.
"""
