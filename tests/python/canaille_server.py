"""Canaille, an identity provider, for tests/browser/canaille.mjs: `canaille.py PORT SETTINGS`, with the Python of
target/canaille.

SETTINGS is JSON: `configuration` is Canaille's own; `users`, `groups` and `clients` are lists with the fields of its
models, where `members` are names of users. It listens on loopback, and keeps its database in the working directory.
Each line of its input changes a user: `lock USER` or `join USER GROUP`. It prints the line when that is done, and ends
with its input.
"""

import asyncio
import datetime
import json
import sys

from asgiref.sync import sync_to_async
from asgiref.wsgi import WsgiToAsgi
from canaille import create_app
from canaille.app import models
from canaille.backends import Backend
from hypercorn.asyncio import serve
from hypercorn.config import Config


def save(model, **fields):
    instance = model(**fields)
    Backend.instance.save(instance)
    return instance


def create(settings):
    app = create_app(settings["configuration"])
    with app.app_context(), Backend.instance.session():
        users = {user["user_name"]: save(models.User, **user) for user in settings["users"]}
        for group in settings["groups"]:
            members = [users[name] for name in group["members"]]
            save(models.Group, display_name=group["display_name"], members=members)
        for fields in settings["clients"]:
            client = save(models.Client, **fields)
            client.audience = [client]
            Backend.instance.save(client)
    return app


def change(app, command, name, group=None):
    with app.app_context(), Backend.instance.session():
        user = Backend.instance.get(models.User, user_name=name)
        if command == "lock":
            user.lock_date = datetime.datetime.now(datetime.timezone.utc)
        else:
            user.groups = [*user.groups, Backend.instance.get(models.Group, display_name=group)]
        Backend.instance.save(user)


async def obey(app):
    while line := await asyncio.to_thread(sys.stdin.readline):
        # In the thread that serves requests, as the database wants it.
        await sync_to_async(change)(app, *line.split())
        print(line.strip(), flush=True)


async def run(port, settings):
    app = await sync_to_async(create)(settings)
    config = Config()
    config.bind = [f"127.0.0.1:{port}"]
    await serve(WsgiToAsgi(app), config, shutdown_trigger=lambda: obey(app))


if __name__ == "__main__":
    asyncio.run(run(int(sys.argv[1]), json.loads(sys.argv[2])))
