# SPDX-License-Identifier: Apache-2.0
"""Make or remove what belongs to user postgres, with no more rights than that user has."""

from __future__ import annotations

DOCUMENTATION = r"""
module: pgkeeper_place
short_description: Make or remove what belongs to user postgres, with that user's rights
version_added: 0.1.0
description:
  - Makes a directory, file or link, or removes it, where user postgres may write; whoever that user is may have put links there.
  - Root follows the path as far as nobody else decides where it leads. All beyond is done with the rights of user postgres, so that a link
    leads no further than that user could go.
  - Root itself does two things, both in a directory that root alone may write. It makes a missing directory, or gives one to user
    postgres; and it takes one away that is empty.
author: pgkeeper
options:
  path:
    description: Where it is, as an absolute path.
    type: path
    required: true
  state:
    description:
      - With V(directory), missing directories on the way are made as well, alike.
      - With V(absent), a directory goes with all that is in it.
    type: str
    choices: [directory, file, link, absent]
    required: true
  mode:
    description: Permissions in octal digits, of a directory or a file.
    type: str
    default: "0700"
  content:
    description: What a file is to hold. Without it, an empty one is made where there is none.
    type: str
  target:
    description: Where a link is to lead.
    type: str
  only:
    description:
      - With O(state=absent), remove from a directory only files of these names, such as V(app.log*), and itself where it is empty then.
    type: list
    elements: str
    default: []
extends_documentation_fragment:
  - ansible.builtin.action_common_attributes
attributes:
  check_mode:
    support: full
    description: Says what would be made or removed.
  diff_mode:
    support: full
    description: Shows owner, permissions and content.
  platform:
    platforms: debian
notes:
  - Needs root.
seealso:
  - module: ansible.builtin.file
"""

EXAMPLES = r"""
- name: Make a directory of user postgres
  pgkeeper_place:
    path: /var/lib/pgkeeper/pitr/locks
    state: directory
  become: true

- name: Take logs away, and their directory if it is empty then
  pgkeeper_place:
    path: /var/log/pgkeeper
    state: absent
    only: ["pgkeeper.log*"]
  become: true
"""

RETURN = r"""
path:
  description: The path, as it was given.
  returned: always
  type: str
  sample: /var/lib/pgkeeper/pitr/locks
"""

from collections.abc import Callable
from typing import Any, NoReturn

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.pgkeeper_owned import Place
from ansible.module_utils.pgkeeper_rights import Problem, User

USER = "postgres"
ARGUMENTS: dict[str, Any] = {
    "path": {"type": "path", "required": True},
    "state": {"type": "str", "choices": ["directory", "file", "link", "absent"], "required": True},
    "mode": {"type": "str", "default": "0700"},
    "content": {"type": "str"},
    "target": {"type": "str"},
    "only": {"type": "list", "elements": "str", "default": []},
}


def made(place: Place, params: dict[str, Any]) -> tuple[str, str]:
    """Have it as it is wanted, and return what was there before and after. Raises Problem."""
    mode = int(params["mode"], 8)
    states: dict[str, Callable[[], tuple[str, str]]] = {
        "directory": lambda: place.directory(mode),
        "file": lambda: place.file(params["content"], mode),
        "link": lambda: place.link(params["target"]),
        "absent": lambda: place.absent(params["only"]),
    }
    return states[params["state"]]()


def main() -> None:
    """Run the module."""
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True, required_if=[("state", "link", ("target",))])
    path = module.params["path"]
    try:
        before, after = made(Place(path, User(USER), dry=module.check_mode), module.params)
    except (Problem, OSError, ValueError) as error:
        fail(module, error)
    difference = {"before": before, "after": after, "before_header": path, "after_header": path}
    module.exit_json(changed=before != after, path=path, diff=difference)


def fail(module: AnsibleModule, error: Exception) -> NoReturn:
    """End the module with what went wrong, in one line."""
    path, done = module.params["path"], {"absent": "removed", "file": "written"}.get(module.params["state"], "made")
    if isinstance(error, OSError):
        module.fail_json(msg=f"{path} cannot be {done} as user {USER}: {error.strerror}; see where it leads")
    if isinstance(error, ValueError):
        module.fail_json(msg=f"mode must be octal digits, as in 0700: {module.params['mode']}")
    module.fail_json(msg=str(error))
    raise AssertionError("fail_json ends the process")


if __name__ == "__main__":
    main()
