"""What speaks to other machines, and believes none of them: bounded in size and in time."""
